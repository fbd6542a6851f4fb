"use strict";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (value) => parseFloat(value.replace(/[,\s]/g, "").replace("−", "-"));
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      const rows = [...body.rows];
      const numeric = rows.every((row) => text(row, column) === "–" || !isNaN(number(text(row, column))));
      rows.sort((a, b) => {
        const [x, y] = [text(a, column), text(b, column)];
        // What is missing stands last, whichever way the rest goes.
        if (x === "–" || y === "–") return (x === "–") - (y === "–");
        const order = numeric ? number(x) - number(y) : x.localeCompare(y, "en", { numeric: true });
        return up ? order : -order;
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  });
}
