"""The sections of the report, a file per topic: each turns the finished run into blocks."""
