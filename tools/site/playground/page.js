import { autocompletion } from '@codemirror/autocomplete';
import { indentWithTab } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { lintGutter, setDiagnostics } from '@codemirror/lint';
import { EditorView, hoverTooltip, keymap } from '@codemirror/view';
import { basicSetup } from 'codemirror';
import { drawn, mark, report } from 'netc/picture.js';

const PAUSE = 120; // milliseconds without a keystroke after which the text is looked at
const FIRST = 'examples/digits.yaml';
const $ = id => document.getElementById(id);
const state = $('state'), found = $('found'), panel = $('view');
let path = FIRST, variant = '', tab = 'picture', failing = [], texts = {}, opened = '';

// Questions to the worker, one after the other.
const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
const waiting = new Map();
let asked = 0;
worker.onmessage = ({ data: { number, answer, failure } }) => {
  const { resolve, reject } = waiting.get(number);
  waiting.delete(number);
  if (failure === undefined) resolve(answer);
  else reject(new Error(failure));
};
worker.onerror = event => say(event.message || 'the worker cannot start', 'wrong');
const ask = (what, ...given) => new Promise((resolve, reject) => {
  const number = ++asked;
  waiting.set(number, { resolve, reject });
  worker.postMessage({ number, ask: what, given });
});

function say(words, kind = '') {
  state.textContent = words;
  state.className = kind;
}

// Lines and units of netc are counted from 0, and a place that a newer text no longer has is its nearest.
function offset(doc, [line, unit]) {
  if (line >= doc.lines) return doc.length;
  const at = doc.line(line + 1);
  return Math.min(at.from + unit, at.to);
}
function place(doc, at) {
  const line = doc.lineAt(at);
  return [line.number - 1, at - line.from];
}

const KINDS = { key: 'keyword', operator: 'function', block: 'class', attribute: 'property', word: 'enum', tensor: 'variable', value: 'constant', code: 'constant' };

async function complete(context) {
  const { doc } = context.state;
  const { start, options } = await ask('complete', doc.toString(), ...place(doc, context.pos));
  if (!options.length || (!context.explicit && !context.matchBefore(/[\w@=.:]$/))) return null;
  return {
    from: offset(doc, start),
    validFor: /^[\w.$-]*$/,
    options: options.map(one => ({
      label: one.label, type: KINDS[one.kind], detail: one.detail, apply: one.text ?? undefined,
      info: async () => block(await ask('about', one.label, one.detail)),
    })),
  };
}

function block(text) {
  if (!text) return null;
  const made = document.createElement('div');
  made.className = 'told';
  made.textContent = text.replaceAll('**', '').replaceAll('```', '').trim();
  return made;
}

const hovering = hoverTooltip(async (view, at) => {
  const { doc } = view.state;
  const said = await ask('told', ...place(doc, at));
  if (!said) return null;
  return { pos: offset(doc, said.start), end: offset(doc, said.end), create: () => ({ dom: block(said.text) }) };
});

const editor = new EditorView({
  parent: $('editor'),
  extensions: [
    basicSetup, yaml(), keymap.of([indentWithTab]), lintGutter(), hovering,
    autocompletion({ override: [complete] }),
    EditorView.updateListener.of(update => {
      if (update.docChanged) soon();
      else if (update.selectionSet && tab === 'explain') show();
    }),
  ],
});

let timer = 0, changed = 0, busy = false, again = false;
function soon() {
  if (!changed) changed = performance.now();
  clearTimeout(timer);
  timer = setTimeout(look, PAUSE);
}

// Looks never pile up: what was typed meanwhile is looked at once, afterwards.
async function look() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  const { doc } = editor.state, since = changed || performance.now();
  changed = 0;
  try {
    tell(await ask('look', path, doc.toString(), variant), doc);
    document.body.dataset.told = Math.round(performance.now() - since);
    await show();
    document.body.dataset.shown = Math.round(performance.now() - since);
    document.body.dataset.looks = Number(document.body.dataset.looks ?? 0) + 1;
    document.body.dataset.ready = 'yes';
  } catch (error) {
    say(error.message, 'wrong');
  } finally {
    busy = false;
    remember();
    if (again) {
      again = false;
      look();
    }
  }
}

function tell(news, doc) {
  const errors = news.found.filter(one => one.severity === 'error').length, warnings = news.found.length - errors;
  const counted = (number, what) => `${number} ${what}${number === 1 ? '' : 's'}`;
  if (news.valid) say(warnings ? `valid, ${counted(warnings, 'warning')}` : 'valid', 'valid');
  else say(errors ? counted(errors, 'error') : 'no spec', 'wrong');
  found.replaceChildren(...[...news.problem, ...news.found.map(one => one.report)].map(report));
  found.hidden = !found.children.length;
  found.className = news.valid ? 'warnings' : '';
  panel.className = news.valid ? '' : 'stale';
  failing = news.failing;
  choose(news.variants);
  if (doc !== editor.state.doc) return;
  editor.dispatch(setDiagnostics(editor.state, news.found.map(one => ({
    from: offset(doc, one.start), to: offset(doc, one.end), severity: one.severity, source: one.code,
    message: [one.message, ...one.remedies.map(remedy => `help: ${remedy.title}`)].join('\n'),
    actions: one.remedies.filter(remedy => remedy.changes.length).map(remedy => ({
      name: remedy.title,
      apply: view => view.dispatch({
        changes: remedy.changes.map(change => ({
          from: offset(view.state.doc, change.start), to: offset(view.state.doc, change.end), insert: change.text,
        })),
      }),
    })),
  }))));
}

async function show() {
  const wanted = tab, { doc, selection } = editor.state;
  const { text, refusal } = await ask('show', wanted, ...place(doc, selection.main.head));
  if (wanted !== tab) return;
  if (wanted !== 'picture' || refusal) {
    panel.replaceChildren(report(refusal || text));
  } else if (text) {
    panel.replaceChildren(drawn(text));
    mark(panel, failing);
  }
  panel.dataset.shows = wanted;
}

function choose(names) {
  const list = $('variants');
  list.hidden = names.length < 2;
  if (names.length && !names.includes(variant)) variant = '';
  const shown = [...list.options].map(option => option.value);
  if (shown.join() !== names.join()) list.replaceChildren(...names.map(name => new Option(name, name)));
  list.value = variant || names[0] || '';
}

// The address holds the spec: packed, or, as long as it is an example, by its name.
async function remember() {
  const text = editor.state.doc.toString();
  const parts = new URLSearchParams({ at: path });
  if (variant) parts.set('variant', variant);
  if (text !== texts[path]) parts.set('spec', await packed(text));
  history.replaceState(null, '', `#${parts}`);
  opened = location.hash;
}

async function through(stream, data) {
  return new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(stream)).arrayBuffer());
}
async function packed(text) {
  const data = await through(new CompressionStream('deflate-raw'), new TextEncoder().encode(text));
  return btoa(String.fromCharCode(...data)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
async function unpacked(text) {
  const data = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), sign => sign.charCodeAt(0));
  return new TextDecoder().decode(await through(new DecompressionStream('deflate-raw'), data));
}

async function open() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const wanted = parts.get('at');
  path = wanted in texts ? wanted : FIRST;
  variant = parts.get('variant') ?? '';
  let text = texts[path];
  try {
    if (parts.get('spec')) text = await unpacked(parts.get('spec'));
  } catch {
    say('the link is damaged', 'wrong');
  }
  replace(text);
}

function replace(text) {
  $('examples').value = path;
  editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
  clearTimeout(timer);
  look();
}

for (const button of document.querySelectorAll('[role=tab]')) {
  button.addEventListener('click', () => {
    tab = button.dataset.view;
    for (const other of document.querySelectorAll('[role=tab]')) other.setAttribute('aria-selected', other === button);
    show();
  });
}
$('examples').addEventListener('change', event => {
  path = event.target.value || FIRST;
  variant = '';
  replace(texts[path]);
});
$('variants').addEventListener('change', event => {
  variant = event.target.value;
  look();
});
$('format').addEventListener('click', async () => {
  const text = editor.state.doc.toString(), done = await ask('formatted', text);
  if (done !== text) replace(done);
});
$('link').addEventListener('click', async () => {
  await remember();
  await navigator.clipboard.writeText(location.href);
  say('link copied');
});
addEventListener('hashchange', () => location.hash !== opened && open());

async function start() {
  texts = await ask('examples');
  const list = $('examples');
  const groups = Object.groupBy(Object.keys(texts), name => name.split('/')[0]);
  list.replaceChildren(...Object.entries(groups).map(([folder, names]) => {
    const group = document.createElement('optgroup');
    group.label = folder === 'specs' ? 'Networks' : 'Features';
    group.append(...names.map(name => new Option(name.split('/')[1].replace('.yaml', ''), name)));
    return group;
  }));
  for (const control of document.querySelectorAll('header :disabled')) control.disabled = false;
  await open();
}
start().catch(error => say(error.message, 'wrong'));
