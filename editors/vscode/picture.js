"use strict";

/** The page that shows a network's picture; what came from the server is an image in it, and runs no script. */
function page(svg, title) {
  const image = Buffer.from(svg, "utf8").toString("base64");
  const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
  return `<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escaped(title)}</title>
<style>body { background: white; margin: 1rem } img { max-width: 100% }</style>
</head>
<body><img alt="${escaped(title)}" src="data:image/svg+xml;base64,${image}"></body>
</html>`;
}

/** A text as it stands in HTML. */
function escaped(text) {
  const signs = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (sign) => signs[sign]);
}

/** Is a YAML text a netc spec? It says `netc:` at its margin. */
function isSpec(text) {
  return /^netc *:/m.test(text);
}

module.exports = { page, escaped, isSpec };
