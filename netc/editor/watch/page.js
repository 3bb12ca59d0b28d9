import { drawn, mark, report } from './picture.js';

const $ = id => document.getElementById(id);
const state = $('state'), found = $('found'), picture = $('picture');
let failing = [];

// What the server says last stands on the page; the browser asks again by itself where the connection breaks.
const events = new EventSource('events');
events.addEventListener('state', event => tell(JSON.parse(event.data)));
events.addEventListener('view', event => show(JSON.parse(event.data)));
events.addEventListener('error', () => say('netc watch has stopped', 'gone'));

function say(words, kind) {
  state.textContent = words;
  state.className = kind;
}

function tell(news) {
  const errors = news.found.filter(one => one.severity === 'error').length;
  const warnings = news.found.length - errors;
  $('name').textContent = document.title = news.name;
  $('name').title = news.file;
  if (news.valid) say(warnings ? `valid, ${counted(warnings, 'warning')}` : 'valid', 'valid');
  else say(news.problem ? 'cannot be read' : counted(errors, 'error'), 'wrong');
  found.replaceChildren(...[news.problem, ...news.found.map(one => one.report)].filter(Boolean).map(report));
  found.hidden = !found.children.length;
  found.className = news.valid ? 'warnings' : '';
  picture.className = news.valid ? '' : 'stale';
  failing = news.failing;
  mark(picture, failing);
}

const counted = (number, what) => `${number} ${what}${number === 1 ? '' : 's'}`;

function show({ name, view, took }) {
  if (view.refusal || name !== 'picture') {
    $(name).replaceChildren(name === 'picture' ? report(view.refusal) : view.refusal || view.text);
  } else {
    picture.replaceChildren(drawn(view.text));
    mark(picture, failing);
  }
  $(name).dataset.took = took;
}

for (const tab of document.querySelectorAll('[role=tab]')) {
  tab.addEventListener('click', () => {
    for (const other of document.querySelectorAll('[role=tab]')) {
      other.setAttribute('aria-selected', other === tab);
      $(other.dataset.view).hidden = other !== tab;
    }
  });
}
