"use strict";

const assert = require("node:assert");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const test = require("node:test");
const { page, escaped, isSpec } = require("../picture");

test("a picture is an image that can run nothing", () => {
  const html = page("<svg><script>alert(1)</script></svg>", 'a "<b>" & c');
  assert.ok(!html.includes("<script"));
  assert.ok(html.includes("default-src 'none'"));
  assert.ok(html.includes("a &quot;&lt;b&gt;&quot; &amp; c"));
});

test("a spec is told from other YAML", () => {
  assert.ok(isSpec("# a comment\nnetc: 1\n"));
  assert.ok(!isSpec("on: [push]\n  netc: 1\n"));
  assert.strictEqual(escaped("a"), "a");
});

test("what the manifest names is there", () => {
  const manifest = JSON.parse(readFileSync(join(__dirname, "../package.json"), "utf8"));
  const source = readFileSync(join(__dirname, "..", manifest.main), "utf8");
  for (const { command } of manifest.contributes.commands) {
    assert.ok(source.includes(`"${command}"`), command);
  }
  assert.ok(source.includes('"netc.picture"'));
});
