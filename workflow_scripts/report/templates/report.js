// Plots are drawn when they come into view; drop-down lists change them. Tables are sorted by their heads and filtered.
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const config = {responsive: true, displaylogo: false, displayModeBar: false};

function draw(plot) {
  if (plot.drawn) return;
  plot.drawn = true;
  const {figure, choices, matrix} = JSON.parse(plot.querySelector("script").textContent);
  const canvas = plot.querySelector(".canvas"), {x, y, z, text} = figure.data[0];
  Plotly.newPlot(canvas, figure.data, figure.layout, config);
  all("[data-choice]", plot).forEach((s, i) => (s.onchange = () => Plotly.update(canvas, ...choices[i][s.value])));
  const selects = all("[data-matrix]", plot);
  selects.forEach(s => (s.onchange = () => {
    const names = selects.slice(1).map(({value}) => {
      const [kind, ...group] = value.split("/"), members = matrix.groups[kind]?.[group.join("/")];
      return matrix.orders[selects[0].value].filter(name => !members || members.includes(name));
    });
    const cut = v => names[0].map(r => names[1].map(c => v[y.indexOf(r)][x.indexOf(c)]));
    Plotly.update(canvas, {x: [names[1]], y: [names[0]], z: [cut(z)], text: [cut(text)]},
      {"xaxis.categoryarray": names[1], "yaxis.categoryarray": names[0]});
  }));
}

const plots = all(".plot");
const seen = new IntersectionObserver(found => found.filter(e => e.isIntersecting).forEach(e => draw(e.target)), {rootMargin: "300px"});
plots.forEach(plot => seen.observe(plot));

function route() {  // a place within a target's page opens that page
  const place = document.getElementById(location.hash.slice(1)), page = place?.closest(".view");
  all(".view.open").forEach(view => view.classList.remove("open"));
  page?.classList.add("open");
  place?.scrollIntoView();
  dispatchEvent(new Event("resize"));  // for plots that were drawn while hidden
}
addEventListener("hashchange", route);
if (location.hash) route();
addEventListener("beforeprint", () => plots.forEach(draw));

all("table").forEach(table => {
  const heads = all("th", table), rows = all("tbody tr", table);
  rows.forEach(row => [...row.cells].forEach((cell, i) => (cell.dataset.head = heads[i].textContent)));
  heads.forEach((head, i) => (head.firstChild.onclick = () => {
    const sign = head.ariaSort === (head.className ? "descending" : "ascending") ? -1 : 1, down = head.className ? -sign : sign;
    heads.forEach(other => (other.ariaSort = null));
    head.ariaSort = down > 0 ? "ascending" : "descending";
    const key = row => row.cells[i].dataset.sort ?? row.cells[i].textContent;
    const order = head.className ? (a, b) => key(a) - key(b) : (a, b) => key(a).localeCompare(key(b));
    table.tBodies[0].append(...rows.sort((a, b) => down * order(a, b)));
  }));
  const field = table.parentNode.querySelector("input");
  if (field) field.oninput = () => {
    const words = field.value.toLowerCase().split(" ");
    rows.forEach(row => (row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word))));
    table.parentNode.querySelector("output").textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length}`;
  };
});
