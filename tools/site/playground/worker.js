// netc in Python in a worker: the page asks one thing at a time, and stays alive while netc computes.
import { loadPyodide } from './pyodide/pyodide.mjs';

const HOME = '/netc';
const answers = start();

async function start() {
  const [python, archive, wheel] = await Promise.all([
    loadPyodide({ indexURL: new URL('pyodide/', import.meta.url).href }),
    bytes('netc.zip'),
    bytes('msgspec.whl'),
  ]);
  python.unpackArchive(archive, 'zip', { extractDir: HOME });
  python.unpackArchive(wheel, 'wheel');
  python.runPython(`import sys; sys.path.insert(0, ${JSON.stringify(HOME)})`);
  return python.pyimport('playground');
}

async function bytes(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

onmessage = async ({ data: { number, ask, given } }) => {
  try {
    const module = await answers;
    postMessage({ number, answer: JSON.parse(module[ask](...given)) });
  } catch (error) {
    postMessage({ number, failure: String(error) });
  }
};
