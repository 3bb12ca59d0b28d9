'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);
const picture = $('picture'), about = $('about'), view = $('view');
const SVG = 'http://www.w3.org/2000/svg';
const units = [], byPath = new Map(), open = new Set();
const maker = new Map(), readers = new Map();
let chosen = null, wire = null, zoom = 1, elements = new Map(), found = [], at = 0;

// Every part gets a number, its parent, the wires it reads and those it makes.
(function number(list, parent) {
  for (const unit of list) {
    unit.id = units.push(unit) - 1;
    unit.parent = parent;
    if (!byPath.has(unit.key)) byPath.set(unit.key, unit);
    if (unit.items) number(unit.items, unit);
    else {
      for (const w of unit.makes) maker.set(w, unit);
      for (const w of unit.reads) readers.set(w, [...(readers.get(w) || []), unit]);
    }
  }
})(data.units, null);
const leaves = unit => unit.items ? (unit.leaves ??= unit.items.flatMap(leaves)) : [unit];
const made = unit => unit.made ??= new Set(leaves(unit).flatMap(leaf => leaf.makes));
const read = unit => unit.read ??= [...new Set(leaves(unit).flatMap(leaf => leaf.reads))].filter(w => !made(unit).has(w));
const leaving = unit => unit.leaving ??= [...made(unit)].filter(w =>
  (readers.get(w) || []).some(reader => !leaves(unit).includes(reader)));
const isOpen = unit => unit.items && open.has(unit.key);

function element(tag, classes, text) {
  const made = document.createElement(tag);
  made.className = classes;
  if (text !== undefined) made.textContent = text;
  return made;
}
const count = n => n >= 1e9 ? +(n / 1e9).toPrecision(3) + ' G' : n >= 1e6 ? +(n / 1e6).toPrecision(3) + ' M'
  : n >= 1e3 ? +(n / 1e3).toPrecision(3) + ' k' : String(n);

// The plan of a frame becomes nested rows and columns; the browser places them.
function planned(plan, list) {
  if (typeof plan === 'number') return plan < 1 || plan > list.length ? null : part(list[plan - 1]);
  const [kind, parts] = plan;
  const box = element('div', kind === 's' ? 'series' : kind === 'l' ? 'layers' : kind === 'r' ? 'residual' : 'parallel');
  for (const inner of parts) {
    if (kind === 'l') {
      const row = element('div', 'row');
      for (const node of inner) { const child = planned(node, list); if (child) row.append(child); }
      box.append(row);
    } else { const child = planned(inner, list); if (child) box.append(child); }
  }
  return box.childNodes.length === 1 ? box.firstChild : box;
}
function titled(unit, host) {
  if (unit.count > 1) host.append(element('span', 'badge', '×' + unit.count));
  host.append(element('b', '', (unit.items ? (isOpen(unit) ? '− ' : '+ ') : '') + unit.title));
}
function part(unit) {
  const opened = isOpen(unit), many = unit.count > 1 ? ' many' : '', train = unit.train ? ' train' : '';
  const head = element('div', opened ? 'bar' : `box ${unit.family}${unit.term ? ' term' : ''}${many}${train}${unit.symbol ? ' symbol' : ''}`);
  head.tabIndex = 0;
  head.setAttribute('role', 'button');
  head.setAttribute('aria-label', `${unit.path} ${unit.title}`);
  if (unit.items) head.setAttribute('aria-expanded', String(!!opened));
  head.dataset.id = unit.id;
  titled(unit, head);
  const shapes = leaving(unit).map(w => data.wires[w]);
  const caption = unit.items ? (opened ? [unit.note, new Set(shapes).size === 1 ? shapes[0] : ''] : [unit.note, leaves(unit).length + ' parts']) : [unit.caption];
  const small = caption.filter(Boolean).join(' · ');
  if (small) head.append(element('small', '', small));
  elements.set(unit, head);
  if (!opened) return head;
  const frame = element('div', 'frame' + many + train), body = element('div', 'body');
  body.append(planned(unit.plan, unit.items));
  const rails = (unit.rails || 0) * 9;
  body.style.paddingLeft = body.style.paddingRight = 12 + rails + 'px';
  frame.append(head, body);
  unit.frame = frame;
  return frame;
}

function draw() {
  elements = new Map();
  picture.replaceChildren();
  const rails = (data.rails || 0) * 9;
  picture.style.padding = `0 ${rails + 60}px`;
  picture.append(planned(data.plan, data.units));
  lines();
  mark();
  remember();
}

// Lines are drawn behind the boxes, from where the browser has put them.
function lines() {
  const old = $('lines');
  if (old) old.remove();
  picture.querySelectorAll('.shape').forEach(label => label.remove());
  const svg = document.createElementNS(SVG, 'svg');
  svg.id = 'lines';
  const base = picture.getBoundingClientRect(), rects = new Map();
  const rect = unit => {
    if (!rects.has(unit)) {
      const host = isOpen(unit) ? unit.frame : elements.get(unit), r = host.getBoundingClientRect();
      const head = elements.get(unit).getBoundingClientRect();
      rects.set(unit, { l: (r.left - base.left) / zoom, r: (r.right - base.left) / zoom, t: (r.top - base.top) / zoom,
        b: (r.bottom - base.top) / zoom, h: (head.bottom - base.top) / zoom, x: ((r.left + r.right) / 2 - base.left) / zoom });
    }
    return rects.get(unit);
  };
  for (const unit of elements.keys()) rect(unit);  // read all places before anything is written
  const width = picture.offsetWidth, height = picture.offsetHeight;
  picture.prepend(svg);
  inside(data.units, null, rect, svg);
  svg.setAttribute('width', width);
  svg.setAttribute('height', height);
}
function say(text, x, y) {
  const label = element('div', 'shape', text);
  label.style.left = x + 'px';
  label.style.top = y + 'px';
  picture.append(label);
}
const saysShape = unit => unit.items ? !isOpen(unit) && leaving(unit).length === 1 : unit.label && !unit.term;
function inside(list, frame, rect, svg) {
  const owner = new Map(), placed = [], labelled = new Set();
  for (const unit of list) for (const w of made(unit)) owner.set(w, unit);
  const edges = [];
  for (const unit of list) for (const w of read(unit)) edges.push([owner.get(w) || null, unit, w, '']);
  for (const unit of list) for (const leaf of leaves(unit)) for (const w of leaf.sizes || []) if (owner.get(w) && owner.get(w) !== unit) edges.push([owner.get(w), unit, w, 'size']);
  const seen = new Set(), sorted = list.map(unit => [rect(unit), unit]).sort((a, b) => a[0].t - b[0].t);
  const from = y => { let low = 0, high = sorted.length; while (low < high) { const middle = (low + high) >> 1; sorted[middle][0].t < y ? low = middle + 1 : high = middle; } return low; };
  const between = (y0, y1) => { const found = []; for (let n = from(y0); n < sorted.length && sorted[n][0].t <= y1; n++) found.push(sorted[n]); return found; };
  for (const [source, target, w, kind] of edges) {
    const key = (source ? source.id : 'in') + '>' + target.id;
    if (seen.has(key) || (!source && !frame)) continue;
    seen.add(key);
    const b = rect(target), a = source ? rect(source) : null;
    const x0 = a ? a.x : b.x, y0 = a ? a.b : rect(frame).h;
    const blocked = between(y0 - 1, b.t).some(([r, other]) => other !== source && other !== target &&
      r.l < x0 + 1 && r.r > x0 - 1 && r.b <= b.t + 1);
    let d;
    if (blocked) {
      let x = Math.max(b.r, a ? a.r : 0, ...between(y0 - 2, b.t + 2).map(([r]) => r.r));
      for (const [px, p0, p1] of placed) if (p0 < b.t && p1 > y0) x = Math.max(x, px);
      x += kind ? 36 : 9;
      placed.push([x, y0, b.t]);
      const into = (b.t + b.h) / 2;
      d = a ? `M${a.r} ${a.b - 8}H${x}V${into}H${b.r}` : `M${x} ${y0}V${into}H${b.r}`;
    } else if (Math.abs(x0 - b.x) < 1) d = `M${x0} ${y0}V${b.t}`;
    else { const bus = Math.max(y0 + 6, b.t - 12); d = `M${x0} ${y0}V${bus}H${b.x}V${b.t}`; }
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d + (blocked ? 'm6 -4l-6 4l6 4' : 'm-4 -6l4 6l4 -6'));
    path.setAttribute('class', [blocked ? 'skip' : '', kind, target.train ? 'train' : ''].join(' ').trim());
    path.dataset.wire = w;
    svg.append(path);
    if (kind) say(kind, b.r + 9, (b.t + b.h) / 2 - 14);
    else if (source && !labelled.has(source) && saysShape(source)) {
      labelled.add(source);
      say(data.wires[w], x0 + 5, y0 + 2);
    }
  }
  for (const unit of list) if (isOpen(unit)) inside(unit.items, unit, rect, svg);
}

// Folding
function toggle(unit) {
  const before = elements.get(unit).getBoundingClientRect();
  open.has(unit.key) ? open.delete(unit.key) : open.add(unit.key);
  draw();
  const after = elements.get(unit), now = after.getBoundingClientRect();
  view.scrollTop += now.top - before.top;
  view.scrollLeft += now.left - before.left;
  after.focus({ preventScroll: true });
}
function reveal(unit) {
  for (let parent = unit.parent; parent; parent = parent.parent) open.add(parent.key);
}

// Following a tensor
function follow(unit) {
  chosen = unit;
  wire = null;
  mark();
  remember();
}
function mark() {
  const wires = wire !== null ? new Set([wire]) : chosen ? new Set([...read(chosen), ...made(chosen)]) : null;
  picture.querySelectorAll('#lines path').forEach(path => {
    const on = wires && wires.has(+path.dataset.wire);
    path.classList.toggle('on', !!on);
    path.classList.toggle('dim', !!wires && !on);
  });
  picture.querySelectorAll('.chosen, .hit').forEach(host => host.classList.remove('chosen', 'hit'));
  if (chosen && elements.has(chosen)) elements.get(chosen).classList.add('chosen');
  for (const unit of found) if (elements.has(unit)) elements.get(unit).classList.add('hit');
  if (wire !== null) for (const unit of [maker.get(wire), ...(readers.get(wire) || [])]) {
    for (let shown = unit; shown; shown = shown.parent) if (elements.has(shown)) { elements.get(shown).classList.add('chosen'); break; }
  }
}

// What is told about a part
function table(rows) {
  const made = element('table', '');
  for (const [name, value] of rows) {
    if (value === '' || value === undefined || value === null) continue;
    const row = made.insertRow();
    row.append(element('td', 'pale', name), element('td', '', value));
  }
  return made;
}
function tell(unit) {
  about.replaceChildren(element('h2', '', unit.title + (unit.count > 1 ? ' ×' + unit.count : '')));
  const shapes = wires => wires.map(w => data.wires[w]).join(', ');
  about.append(table([['path', unit.path], ['block', unit.note], ['input', shapes(read(unit))],
    ['output', shapes(unit.items ? leaving(unit) : unit.makes)],
    ['parameters', unit.parameters], ['MACs', unit.macs], ['parts inside', unit.items ? leaves(unit).length : '']]));
  for (const node of unit.nodes || []) {
    const block = element('p', ''), code = element('code', '', node.op);
    block.append(element('b', '', node.path), document.createElement('br'), code);
    for (const formula of node.formulas) block.append(document.createElement('br'), formula);
    block.append(table([['parameters', node.parameters], ['MACs', node.macs], ['receptive field', node.field]]));
    block.append(element('span', 'pale', node.place), document.createElement('br'), element('code', '', node.line));
    about.append(block);
  }
}

// Searching
const words = unit => [unit.path, unit.title, unit.note, unit.caption, ...(unit.nodes || []).map(n => n.op + ' ' + n.path),
  ...(unit.makes || []).map(w => data.wires[w])].join(' ').toLowerCase();
function search() {
  const wanted = $('q').value.trim().toLowerCase();
  found = wanted ? units.filter(unit => (unit.words ??= words(unit)).includes(wanted)) : [];
  at = 0;
  $('hits').textContent = wanted ? found.length + ' found' : '';
  mark();
  remember();
}
function next() {
  if (!found.length) return;
  const unit = found[at++ % found.length];
  reveal(unit);
  draw();
  elements.get(unit).scrollIntoView({ block: 'center', inline: 'center' });
  tell(unit);
}

// State in the address
function remember() {
  const state = new URLSearchParams();
  if (open.size) state.set('open', [...open].join(','));
  if (chosen) state.set('at', chosen.key);
  if ($('q').value) state.set('q', $('q').value);
  history.replaceState(null, '', '#' + state);
}
function recall() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const key of (state.get('open') || '').split(',')) if (byPath.get(key)?.items) open.add(key);
  chosen = byPath.get(state.get('at')) || null;
  $('q').value = state.get('q') || '';
  return location.hash.length > 1;
}

// Files
function save(blob, name) {
  const link = element('a', '');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
}
const svgBlob = () => new Blob([data.svg], { type: 'image/svg+xml' });
$('svg').onclick = () => save(svgBlob(), data.name + '.svg');
$('png').onclick = () => {
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement('canvas');
    canvas.width = image.width * 2;
    canvas.height = image.height * 2;
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(blob => save(blob, data.name + '.png'));
  };
  image.src = URL.createObjectURL(svgBlob());
};

const target = event => { const host = event.target.closest('[data-id]'); return host ? units[+host.dataset.id] : null; };
function act(unit) {
  tell(unit);
  unit.items ? toggle(unit) : follow(unit);
}
picture.addEventListener('click', event => {
  const unit = target(event);
  if (unit) act(unit);
  else if (event.target.dataset?.wire !== undefined) {
    chosen = null;
    wire = +event.target.dataset.wire;
    mark();
    about.replaceChildren(element('h2', '', data.wires[wire]), table([['made by', maker.get(wire)?.path || 'input'],
      ['read by', (readers.get(wire) || []).map(reader => reader.path).join(', ')]]));
  } else follow(null);
});
picture.addEventListener('mouseover', event => { const unit = target(event); if (unit) tell(unit); });
picture.addEventListener('focusin', event => { const unit = target(event); if (unit) tell(unit); });
picture.addEventListener('keydown', event => {
  const unit = target(event);
  if (!unit) return;
  const hosts = [...picture.querySelectorAll('[data-id]')], here = hosts.indexOf(event.target);
  if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); act(unit); }
  else if (event.key === 'ArrowDown' && hosts[here + 1]) { event.preventDefault(); hosts[here + 1].focus(); }
  else if (event.key === 'ArrowUp' && hosts[here - 1]) { event.preventDefault(); hosts[here - 1].focus(); }
  else if (event.key === 'ArrowRight' && unit.items && !isOpen(unit)) { event.preventDefault(); toggle(unit); }
  else if (event.key === 'ArrowLeft' && isOpen(unit)) { event.preventDefault(); toggle(unit); }
});
document.addEventListener('keydown', event => {
  if (event.target === $('q')) return;
  if (event.key === '/') { event.preventDefault(); $('q').focus(); }
  else if (event.key === 'Escape') follow(null);
  else if (event.key === '+') scale(1.2);
  else if (event.key === '-') scale(1 / 1.2);
});
$('q').addEventListener('input', search);
$('q').addEventListener('keydown', event => { if (event.key === 'Enter') next(); });
$('all').onclick = () => { for (const unit of units) if (unit.items) open.add(unit.key); draw(); };
$('none').onclick = () => { open.clear(); draw(); };
function scale(by) {
  zoom = Math.min(4, Math.max(.1, zoom * by));
  picture.style.transform = `scale(${zoom})`;
}
$('in').onclick = () => scale(1.2);
$('out').onclick = () => scale(1 / 1.2);
view.addEventListener('wheel', event => { if (event.ctrlKey) { event.preventDefault(); scale(Math.exp(-event.deltaY * .002)); } }, { passive: false });

$('totals').textContent = data.totals;
about.append(element('p', 'pale', data.doc), element('p', 'pale',
  'Click a block to open or close it, a part to trace its tensors, a line to trace one. / searches, arrow keys move, Enter acts.'));
if (!recall()) for (const unit of data.units) if (unit.items && data.units.length < 4) open.add(unit.key);
draw();
if ($('q').value) search();
if (chosen) tell(chosen);
document.body.dataset.ready = Math.round(performance.now());
