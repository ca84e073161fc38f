"use strict";
(() => {
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    return {
      "font.color": style.getPropertyValue("--ink").trim(),
      "hoverlabel.bgcolor": style.getPropertyValue("--page").trim(),
      "hoverlabel.font.color": style.getPropertyValue("--ink").trim(),
    };
  };
  const plots = Array.from(document.querySelectorAll(".plot"));
  const draw = (box) => {
    const { data, layout } = JSON.parse(box.querySelector("script").textContent);
    layout.height = Number(box.dataset.height);
    delete layout.width;
    layout.autosize = true;
    const target = box.querySelector(".canvas");
    Plotly.newPlot(target, data, layout, { responsive: true, displayModeBar: false }).then(() =>
      Plotly.relayout(target, colours()),
    );
  };
  plots.forEach(draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    plots.forEach((box) => Plotly.relayout(box.querySelector(".canvas"), colours()));
  });
})();
