// The page: what is drawn or dropped goes through the preparation to the network, and its answer to the screen.

import {load} from "./network.js";
import {Pad} from "./pad.js";
import {fit, greyOf, inkOf, inkOfStrokes, squeeze} from "./prepare.js";
import {Bars, Layers, percent, showVerdict} from "./view.js";

const LARGEST = 1024;  // of a dropped image, in pixels: more would only take longer
const SPECK = 1 / 8;   // of a dropped image: what is smaller is no drawing that fills it

const at = id => document.getElementById(id);

start().catch(error => say(`The model cannot be loaded: ${error.message}`, true));

async function start() {
  const about = await (await fetch("demo.json")).json();
  const {classes, shape, preparation, threshold} = about;
  const size = {height: shape[0], width: shape[1]};
  const ask = await load(shape, about.layers);

  introduce(about);
  const bars = new Bars(at("bars"), classes), layers = new Layers(at("layers"), about.layers, shape, at("signed"));
  const pad = new Pad(at("pad"), preparation && preparation.stroke / Math.min(...shape.slice(0, 2)), changed);

  // Pixels of the newest image. While the network is busy with one, others may come; it is asked for the last of them.
  let newest = null, asking = false;

  async function show(pixels) {
    newest = pixels;
    if (asking) return;
    asking = true;
    for (let asked; asked !== newest;) {
      asked = newest;
      const answer = asked && await ask(asked).catch(failed);
      bars.show(answer && answer.probabilities);
      showVerdict(at("verdict"), answer && answer.probabilities, classes, threshold.confidence, empty(about));
      answer ? layers.show({pixels: asked, layers: answer.layers}) : layers.clear();
    }
    asking = false;
  }

  let waiting = false;
  function changed() {
    if (waiting) return;
    waiting = true;
    say("");
    requestAnimationFrame(() => {
      waiting = false;
      const drawn = inkOfStrokes(pad.strokes, preparation);
      show(drawn && fit(drawn.ink, preparation, size, drawn.least));
    });
  }

  /** @param own Whether it is one of the data set's own images, to be taken as it is. */
  async function take(file, own = false) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, own ? {colorSpaceConversion: "none"} : {});
    } catch {
      pad.clear();
      show(null);
      say(`${file.name}: is no image that this browser can read`);
      return;
    }
    say("");
    const image = pixelsOf(bitmap);
    pad.show(bitmap);
    const side = Math.max(image.height, image.width);
    const pixels = preparation && !own
      ? fit(inkOf(greyOf(image)), preparation, size, side * SPECK)
      : squeeze(image, size, shape[2]);
    if (pixels === null) say("There is nothing in this image: all of it looks like its frame.");
    show(pixels);
  }

  at("clear").addEventListener("click", () => { pad.clear(), say(""), show(null); });
  at("file").addEventListener("change", ({target}) => { if (target.files[0]) take(target.files[0]); target.value = ""; });
  listenForDrops(file => take(file));
  about.examples.forEach((label, i) => offer(label, `examples/${i}.png`, file => take(file, true)));
  at("deeper").hidden = about.layers.length === 0;
  at("sampling").hidden = about.examples.length === 0;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => pad.paint());

  // Asked once before, the network is warm at the first stroke, and its maps have their place on the page.
  const nothing = new Uint8Array(shape.reduce((product, side) => product * side));
  layers.show({pixels: nothing, layers: (await ask(nothing)).layers});
  layers.clear();
  showVerdict(at("verdict"), null, classes, threshold.confidence, empty(about));
  say("");
  at("main").hidden = false;
}

function say(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
  at("status").hidden = text === "";
}

function failed(error) {
  say(`The model gave no answer: ${error.message}`, true);
  return null;
}

const empty = ({preparation}) => preparation ? "Nothing drawn yet" : "No image yet";

/** The texts that depend on the model. They are set as text: a class may be called anything. */
function introduce({name, classes, shape, trained_on, preparation, threshold}) {
  const [height, width, channels] = shape;
  const some = classes.length > 12 ? `${classes.slice(0, 10).join(", ")} and ${classes.length - 10} others` : classes.join(", ");
  const drawn = preparation !== null;
  document.title = name ? `${name}: try the model` : "Try the model";
  at("name").textContent = name || "archsearch";
  at("invitation").textContent = `${drawn ? "Draw" : "Drop an image of"} one of: ${some}`;
  at("hint").textContent = drawn
    ? "Draw with mouse, pen or finger, or drop an image here."
    : "Drop an image anywhere on this page.";
  at("keys").hidden = !drawn;
  at("pad").setAttribute("aria-label", drawn ? "Drawing pad" : "The image");
  if (!drawn) at("pad").setAttribute("role", "img");
  const kind = `${channels === 1 ? "grey" : "colour"} ${drawn ? "drawings" : "images"} of ${width} × ${height} pixels`;
  const remarks = [
    `A model knows only what it saw: ${trained_on.toLocaleString("en")} ${kind}, each of them one of ${classes.length} classes. Whatever you give it, it answers with one of these, and it may be sure of it: a scribble has no class of its own.`,
    `Of ${threshold.images.toLocaleString("en")} images that it had not seen it named ${percent(threshold.right)} right. Yours are likely to differ from them more than they do from what it learned.`,
    `It says “not sure” where its likeliest class has less than ${percent(threshold.confidence)}. On those images that leaves ${percent(threshold.accepted)} answered, and ${percent(threshold.accepted_right)} of these right.`,
    "Nothing leaves this device: the model runs in this page.",
  ];
  at("remarks").replaceChildren(...remarks.map(text => Object.assign(document.createElement("li"), {textContent: text})));
}

function offer(label, path, chosen) {
  const picture = Object.assign(new Image(), {src: path, alt: ""});
  const button = Object.assign(document.createElement("button"), {type: "button", title: label});
  button.append(picture, label);
  button.addEventListener("click", async () => chosen(await (await fetch(path)).blob()));
  at("examples").append(button);
}

function listenForDrops(dropped) {
  const mark = on => document.documentElement.classList.toggle("dropping", on);
  addEventListener("dragover", event => { event.preventDefault(), mark(true); });
  addEventListener("dragleave", event => { if (!event.relatedTarget) mark(false); });
  addEventListener("drop", event => {
    event.preventDefault();
    mark(false);
    const file = event.dataTransfer.files[0];
    if (file) dropped(file);
  });
}

/** The pixels of an image, no larger than is of use. */
function pixelsOf(bitmap) {
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
