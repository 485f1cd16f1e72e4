// What the page shows of an answer: the verdict, the bars, the maps.

const ALL = 12;
const LIKELIEST = 10;
const MAPS = 16;

export const percent = share => `${(100 * share).toFixed(1)}\u00a0%`;

function element(kind, properties = {}, children = []) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

/** Bars for the probabilities: of all classes, or of the ten likeliest if there are many. */
export class Bars {
  #rows;

  constructor(list, classes) {
    this.classes = classes;
    this.#rows = Array.from({length: classes.length > ALL ? LIKELIEST : classes.length}, () => {
      const name = element("span", {className: "class"}), share = element("span", {className: "share"});
      const bar = element("span"), row = element("li", {}, [name, element("span", {className: "bar"}, [bar]), share]);
      list.append(row);
      return {row, name, bar, share};
    });
    this.show(null);
  }

  /** @param probabilities Of each class; null if there is no image. */
  show(probabilities) {
    const likeliest = this.classes.map((_, label) => label);
    if (probabilities) likeliest.sort((a, b) => probabilities[b] - probabilities[a]);
    const shown = this.#rows.length < this.classes.length ? likeliest.slice(0, LIKELIEST) : this.classes.keys();
    [...shown].forEach((label, i) => {
      const {row, name, bar, share} = this.#rows[i], value = probabilities?.[label];
      name.textContent = name.title = this.classes[label];
      bar.style.width = `${100 * (value ?? 0)}%`;
      share.textContent = value === undefined ? "" : percent(value);
      row.classList.toggle("first", value !== undefined && label === likeliest[0]);
    });
  }
}

/** The likeliest class, or that the model is not sure. */
export function showVerdict(place, probabilities, classes, threshold, empty) {
  const [first, second] = [...(probabilities ?? []).keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const unsure = probabilities !== null && probabilities[first] < threshold;
  let text = empty;
  if (unsure) text = `Not sure: ${classes[first]}${second === undefined ? "" : ` or ${classes[second]}`}?`;
  else if (probabilities) text = classes[first];
  if (place.textContent !== text) place.textContent = text;
  place.classList.toggle("unsure", unsure);
  place.classList.toggle("empty", probabilities === null);
}

/** Pixels of the size of the data set's images, as they are. */
export function paintPixels(canvas, pixels, [height, width, channels]) {
  canvas.width = width, canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < 3; channel++)
      image.data[4 * i + channel] = pixels[i * channels + (channels === 1 ? 0 : channel)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The image that the network is given, and the maps of its first layers. */
export class Layers {
  #given = element("canvas", {id: "given"});
  #rows = [];
  #seen = null;

  constructor(place, names, shape, signed) {
    this.shape = shape;
    this.signed = signed;
    const [height, width] = shape;
    place.append(figure(`The image it is given, ${width} × ${height} pixels`, this.#given));
    names.forEach((name, i) => {
      const caption = element("figcaption"), maps = element("div", {className: "maps"});
      place.append(element("figure", {}, [caption, maps]));
      this.#rows.push({caption, maps, title: `After convolution ${i + 1}`});
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.#seen));
  }

  /** @param seen {pixels, layers} of `load`'s answer. */
  show(seen) {
    this.#seen = seen;
    if (!seen) return;
    paintPixels(this.#given, seen.pixels, this.shape);
    const colours = ["--tint", "--accent", "--against"].map(colour);
    let negative = false;
    seen.layers.forEach(({data, dims: [, channels, height, width]}, i) => {
      const {caption, maps, title} = this.#rows[i], count = Math.min(MAPS, channels), size = height * width;
      const number = count < channels ? `${count} of its ${channels} maps` : channels === 1 ? "its map" : `its ${channels} maps`;
      caption.textContent = `${title}: ${number}, ${width} × ${height}`;
      while (maps.children.length < count) maps.append(element("canvas", {role: "img", ariaLabel: `Map ${maps.children.length + 1}`}));
      const shown = data.subarray(0, count * size);
      const peak = shown.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
      negative ||= shown.some(value => value < -peak / 10);
      for (let map = 0; map < count; map++)
        paintMap(maps.children[map], shown.subarray(map * size, (map + 1) * size), height, width, peak, colours);
    });
    this.signed.hidden = !negative;
  }

  clear() {
    this.#seen = null;
    for (const canvas of [this.#given, ...this.#rows.flatMap(({maps}) => [...maps.children])])
      canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  }
}

const figure = (caption, content) => element("figure", {}, [element("figcaption", {textContent: caption}), content]);

/** A colour of the style sheet as [red, green, blue]. */
function colour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
}

function paintMap(canvas, values, height, width, peak, [ground, bright, against]) {
  canvas.width = width, canvas.height = height;
  const image = new ImageData(width, height);
  values.forEach((value, i) => {
    const share = Math.abs(value) / peak, towards = value < 0 ? against : bright;
    for (let channel = 0; channel < 3; channel++)
      image.data[4 * i + channel] = ground[channel] + share * (towards[channel] - ground[channel]);
    image.data[4 * i + 3] = 255;
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}
