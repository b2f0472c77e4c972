/* Filters of a report: each box of class `filter` hides the rows of its table that have not the text, or not the value that is chosen. */
"use strict";
for (const box of document.querySelectorAll(".filter")) {
  const rows = [...document.getElementById(box.dataset.rows).children];
  const said = rows.map((row) => row.textContent.toLowerCase());
  const count = box.querySelector("output");
  const apply = () => {
    const words = box.querySelector("input").value.toLowerCase().split(" ").filter(Boolean);
    const chosen = box.querySelector("select").value;
    let shown = 0;
    rows.forEach((row, place) => {
      const fits = (!chosen || row.dataset.of === chosen) && words.every((word) => said[place].includes(word));
      row.hidden = !fits;
      shown += fits;
    });
    count.textContent = shown + " of " + rows.length;
  };
  box.addEventListener("input", apply);
  box.hidden = false;
  apply();
}
