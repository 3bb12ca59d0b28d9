// What the pages of `netc watch` and of the playground show alike.

/** A text as it stands. */
export function report(text) {
  const made = document.createElement('pre');
  made.textContent = text;
  return made;
}

/** A picture, from its text. */
export function drawn(text) {
  const svg = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement;
  return document.importNode(svg, true);
}

/** Marks the parts that hold layers, and no others. A part has the paths of its layers at the beginning of the lines of
 * its title; where a block is closed, that is the path of the block. */
export function mark(picture, layers) {
  const parts = [...picture.querySelectorAll('g > title')].map(title => ({
    part: title.parentNode,
    paths: title.textContent.split('\n').map(line => line.split(' · ')[0]),
  }));
  for (const { part } of parts) part.classList.remove('failing');
  for (const layer of layers) {
    for (let path = layer; path; path = path.slice(0, Math.max(path.lastIndexOf('.'), 0))) {
      const named = parts.filter(one => one.paths.includes(path));
      for (const { part } of named) part.classList.add('failing');
      if (named.length) break;
    }
  }
}
