"""A terminal of 80 columns and 14 lines: what a person sees after some bytes came."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading

COLUMNS, LINES = 80, 14
TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(.)", re.DOTALL)


class Terminal:
    """A pseudo-terminal; programs write into `follower`."""

    def __init__(self) -> None:
        self._leader, self.follower = pty.openpty()
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._bytes = bytearray()
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        while True:
            try:
                chunk = os.read(self._leader, 4096)
            except OSError:  # all that wrote are gone
                return
            self._bytes.extend(chunk)

    def seen(self) -> list[str]:
        """Return all lines: those that scrolled out of the window, then the window."""
        above: list[str] = []
        window = [[" "] * COLUMNS for _ in range(LINES)]
        row = column = 0
        for number, command, character in TOKEN.findall(self._bytes.decode("utf-8", errors="replace")):
            if command == "A":
                row = max(0, row - int(number or 1))
            elif command == "K":
                window[row] = [" "] * COLUMNS
            elif character == "\r":
                column = 0
            elif character and (character == "\n" or column == COLUMNS):
                row, column = row + 1, column if character == "\n" else 0
                if row == LINES:
                    above.append("".join(window.pop(0)))
                    window.append([" "] * COLUMNS)
                    row -= 1
            if character and character not in "\r\n":
                window[row][column] = character
                column += 1
        lines = [line.rstrip() for line in [*above, *("".join(line) for line in window)]]
        while lines and not lines[-1]:
            lines.pop()
        return lines
