"use strict";

const path = require("path");
const vscode = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");
const { page, isSpec } = require("./picture");

const PAUSE = 250; // milliseconds after a keystroke before a picture is drawn again

let client;
const pictures = new Map(); // address of a document → the panel that shows its picture

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("netc.showPicture", showPicture),
    vscode.commands.registerCommand("netc.restart", restart),
    vscode.window.onDidChangeActiveTextEditor(noteSpec),
    vscode.workspace.onDidChangeTextDocument(redrawSoon()),
  );
  noteSpec(vscode.window.activeTextEditor);
  await start();
}

async function start() {
  const [command, ...args] = vscode.workspace.getConfiguration("netc").get("command");
  const server = { command, args, transport: TransportKind.stdio };
  const options = { documentSelector: [{ scheme: "file", language: "yaml" }, { scheme: "untitled", language: "yaml" }] };
  client = new LanguageClient("netc", "netc", server, options);
  try {
    await client.start();
  } catch (error) {
    const told = `netc's language server does not start: ${error.message ?? error}. `;
    vscode.window.showErrorMessage(told + 'Install it with `pip install "netc[editor]"`, or set `netc.command`.');
  }
}

async function restart() {
  await client?.stop();
  await start();
}

function noteSpec(editor) {
  const spec = editor?.document.languageId === "yaml" && isSpec(editor.document.getText());
  vscode.commands.executeCommand("setContext", "netc.isSpec", Boolean(spec));
}

async function showPicture() {
  const document = vscode.window.activeTextEditor?.document;
  if (!document) {
    return;
  }
  const address = document.uri.toString();
  let panel = pictures.get(address);
  if (!panel) {
    const title = path.basename(document.fileName);
    panel = vscode.window.createWebviewPanel("netc.picture", title, vscode.ViewColumn.Beside, { enableScripts: false });
    pictures.set(address, panel);
    panel.onDidDispose(() => pictures.delete(address));
  }
  await draw(address);
}

/** Draw a picture again; where the network has errors, the last one stays. */
async function draw(address) {
  const panel = pictures.get(address);
  const params = { command: "netc.picture", arguments: [address] };
  const svg = await client.sendRequest("workspace/executeCommand", params);
  if (panel && svg) {
    panel.webview.html = page(svg, panel.title);
  }
}

function redrawSoon() {
  let waiting;
  return ({ document }) => {
    const address = document.uri.toString();
    if (pictures.has(address)) {
      clearTimeout(waiting);
      waiting = setTimeout(() => draw(address).catch(() => undefined), PAUSE);
    }
  };
}

async function deactivate() {
  await client?.stop();
}

module.exports = { activate, deactivate };
