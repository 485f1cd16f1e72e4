// The drawing pad: strokes from mouse, finger, pen or keyboard; or an image that was dropped.

import {trace} from "./prepare.js";

const STEP = 1 / 40;
const ARROWS = {ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP]};
const WIDEST = .07;

export class Pad {
  strokes = [];
  #image = null;
  #cursor = null;
  #penDown = false;
  #drawing = new Map();

  /** @param canvas A square.
   *  @param pen Width of its strokes as a share of its side; null if it only shows images.
   *  @param changed Called when strokes came or went.
   */
  constructor(canvas, pen, changed) {
    this.canvas = canvas;
    this.pen = Math.min(pen ?? 0, WIDEST);
    this.changed = changed;
    if (pen === null) return;
    canvas.classList.add("drawable");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.addEventListener("pointerdown", event => this.#begin(event));
    canvas.addEventListener("pointermove", event => this.#go(event));
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, event => this.#drawing.delete(event.pointerId));
    canvas.addEventListener("keydown", event => this.#key(event));
    canvas.addEventListener("blur", () => { this.#cursor = null, this.#penDown = false, this.paint(); });
  }

  clear() {
    this.strokes = [];
    this.#image = this.#cursor = null;
    this.#penDown = false;
    this.#drawing.clear();
    this.paint();
  }

  /** Shows an image, as large as it fits. */
  show(image) {
    this.clear();
    this.#image = image;
    this.paint();
  }

  paint() {
    const {canvas} = this, side = canvas.width, context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, side, side);
    if (this.#image) {
      const {width, height} = this.#image, scale = side / Math.max(width, height);
      context.imageSmoothingEnabled = scale < 4;
      context.drawImage(this.#image, (side - width * scale) / 2, (side - height * scale) / 2, width * scale, height * scale);
    }
    context.setTransform(side, 0, 0, side, 0, 0);
    context.strokeStyle = style.color;
    trace(context, this.strokes, this.pen);
    if (this.#cursor === null) return;
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = .006;
    context.beginPath();
    context.arc(...this.#cursor, this.#penDown ? this.pen / 2 : this.pen, 0, 2 * Math.PI);
    context.stroke();
  }

  #begin(event) {
    if (event.button !== 0) return;
    if (event.isTrusted) this.canvas.setPointerCapture(event.pointerId);  // a script's event has no pointer to capture
    const stroke = [this.#place(event)];
    this.#drawing.set(event.pointerId, stroke);
    this.#add(stroke);
  }

  #go(event) {
    const stroke = this.#drawing.get(event.pointerId);
    if (!stroke) return;
    // A fast hand moves several times between two frames.
    const moves = event.getCoalescedEvents?.() ?? [];
    stroke.push(...(moves.length ? moves : [event]).map(move => this.#place(move)));
    this.#drawn();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = ARROWS[event.key];
    if (step) {
      this.#cursor = this.#cursor ? this.#cursor.map((at, axis) => Math.max(0, Math.min(1, at + step[axis]))) : [.5, .5];
      if (this.#penDown) this.strokes.at(-1).push(this.#cursor), this.changed();
    } else if (event.key === " ") {
      this.#cursor ??= [.5, .5];
      this.#penDown = !this.#penDown;
      if (this.#penDown) this.#add([this.#cursor]);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      this.changed();
    } else return;
    event.preventDefault();
    this.paint();
  }

  #add(stroke) {
    this.#image = null;
    this.strokes.push(stroke);
    this.#drawn();
  }

  #drawn() {
    this.paint();
    this.changed();
  }
}
