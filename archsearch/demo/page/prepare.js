// What one draws or drops, made into the image that the network takes. No part of the page is touched here.
//
// A picture is {values, height, width}: a Float32Array, row by row. In a picture of ink 0 is nothing and 1 is full ink.

/** A picture of another size. Each of its pixels is the average of all that it covers; outside of the picture is 0.
 *
 * @param size {height, width} of the result.
 * @param place {down, across, top, left}: the scales, below 1 if the picture becomes smaller, and where its corner comes
 *     to lie.
 */
export function resample(picture, size, place) {
  const across = covered(picture.width, size.width, place.across, place.left);
  const down = covered(picture.height, size.height, place.down, place.top);
  const narrow = new Float32Array(picture.height * size.width);
  for (let row = 0; row < picture.height; row++)
    across.forEach(([first, weights], column) => {
      let sum = 0;
      weights.forEach((weight, i) => sum += weight * picture.values[row * picture.width + first + i]);
      narrow[row * size.width + column] = sum;
    });
  const values = new Float32Array(size.height * size.width);
  down.forEach(([first, weights], row) => weights.forEach((weight, i) => {
    for (let column = 0; column < size.width; column++)
      values[row * size.width + column] += weight * narrow[(first + i) * size.width + column];
  }));
  return {...size, values};
}

/** For each of `target` pixels: the first of `source` pixels that it covers, and by how much it covers them. */
function covered(source, target, scale, offset) {
  return Array.from({length: target}, (_, pixel) => {
    const from = Math.max(0, (pixel - offset) / scale), to = Math.min(source, (pixel + 1 - offset) / scale);
    const first = Math.floor(from), weights = [];
    for (let i = first; i < to; i++) weights.push((Math.min(to, i + 1) - Math.max(from, i)) * scale);
    return [first, weights];
  });
}

/** The box around what is above `floor`, its centre and the centre of mass; null if there is nothing. */
export function extent({values, height, width}, floor) {
  let top = height, left = width, bottom = 0, right = 0, mass = 0, y = 0, x = 0;
  for (let row = 0, i = 0; row < height; row++)
    for (let column = 0; column < width; column++, i++) {
      const value = values[i];
      mass += value, y += value * (row + .5), x += value * (column + .5);
      if (value <= floor) continue;
      top = Math.min(top, row), bottom = Math.max(bottom, row + 1);
      left = Math.min(left, column), right = Math.max(right, column + 1);
    }
  if (bottom === 0) return null;
  return {
    top, left, height: bottom - top, width: right - left,
    middle: [(top + bottom) / 2, (left + right) / 2], mass: [y / mass, x / mass],
  };
}

/** Ink scaled and placed as the data set's drawings were.
 *
 * The box's corner comes to lie on a whole pixel, as it did in the data set: so one of its own drawings, enlarged,
 * comes out as it was.
 *
 * @param ink A picture of ink, of any size.
 * @param preparation See preparation.py.
 * @param size {height, width} of the data set's images.
 * @param least What is smaller than this, in pixels of `ink`, is not enlarged as if it were a whole drawing.
 * @returns Pixels, a Uint8Array; null if there is no ink.
 */
export function fit(ink, preparation, size, least = 0) {
  const box = extent(ink, preparation.floor);
  if (box === null) return null;
  const scale = preparation.longest / Math.max(box.height, box.width, least);
  const centre = preparation.by_mass ? box.mass : box.middle;
  const corner = (axis, side, start, length) => {
    const wanted = preparation.centre[axis] - (centre[axis] - start) * scale;
    return Math.round(Math.max(Math.min(0, side - length * scale), Math.min(wanted, side - length * scale)));
  };
  const {values} = resample(ink, size, {
    down: scale,
    across: scale,
    top: corner(0, size.height, box.top, box.height) - box.top * scale,
    left: corner(1, size.width, box.left, box.width) - box.left * scale,
  });
  return Uint8Array.from(values, value =>
    Math.round(preparation.background + (preparation.ink - preparation.background) * Math.min(1, value)));
}

/** The ink in a grey picture of something drawn, bright on dark or dark on bright.
 *
 * What the frame looks like is background, and what differs from it no more than the frame does within itself is too.
 */
export function inkOf({values, height, width}) {
  const frame = [];
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column += row % (height - 1) ? Math.max(1, width - 1) : 1)
      frame.push(values[row * width + column]);
  const background = median(frame), noise = 6 * median(frame.map(value => Math.abs(value - background)));
  let above = 0, below = 0, brightest = background, darkest = background;
  for (const value of values) {
    if (Math.abs(value - background) <= noise) continue;
    if (value > background) above += value - background, brightest = Math.max(brightest, value);
    else below += background - value, darkest = Math.min(darkest, value);
  }
  const strongest = (above > below ? brightest : darkest) - background;
  const ink = values.map(value => {
    const share = strongest && (value - background) / strongest;
    return Math.abs(value - background) > noise ? Math.max(0, share) : 0;
  });
  return {values: ink, height, width};
}

const median = values => values.sort((a, b) => a - b)[values.length >> 1];

/** Grey of RGBA pixels that lie over white, in the weights of ITU-R BT.601. */
export function greyOf({data, height, width}) {
  const [red, green, blue] = [0, 1, 2].map(channel => channelOf({data, height, width}, channel).values);
  return {values: red.map((value, i) => .299 * value + .587 * green[i] + .114 * blue[i]), height, width};
}

/** One channel of RGBA pixels that lie over white. */
function channelOf({data, height, width}, channel) {
  const values = new Float32Array(height * width);
  for (let i = 0; i < values.length; i++)
    values[i] = 255 + (data[4 * i + channel] - 255) * data[4 * i + 3] / 255;
  return {values, height, width};
}

/** A whole image squeezed to a size, as folders of images are: proportions are given up.
 *
 * @param image RGBA pixels {data, height, width}.
 * @returns Pixels, a Uint8Array (height, width, channels).
 */
export function squeeze(image, size, channels) {
  const place = {down: size.height / image.height, across: size.width / image.width, top: 0, left: 0};
  const planes = channels === 1 ? [greyOf(image)] : [0, 1, 2].map(channel => channelOf(image, channel));
  const small = planes.map(plane => resample(plane, size, place).values);
  const pixels = new Uint8Array(size.height * size.width * channels);
  small.forEach((values, channel) => values.forEach((value, i) => pixels[i * channels + channel] = Math.round(value)));
  return pixels;
}

const SCRATCH = 256;

/** Strokes as ink, at several times the size that they will have, with the stroke width of the data set.
 *
 * Whoever draws small does not draw with a thicker pen: strokes are scaled first and inked then.
 *
 * @param strokes Lists of [x, y], as shares of the pad's side.
 * @returns {ink, least} for `fit`; null if there are none.
 */
export function inkOfStrokes(strokes, preparation) {
  const points = strokes.flat();
  if (points.length === 0) return null;
  const {longest, stroke} = preparation;
  const [left, top] = [0, 1].map(axis => Math.min(...points.map(point => point[axis])));
  const [right, bottom] = [0, 1].map(axis => Math.max(...points.map(point => point[axis])));
  const finer = Math.max(1, Math.round(SCRATCH / longest));
  // A dot is a dot and no whole drawing: what is less than a fifth of the pad is not blown up any further.
  const scale = finer * Math.max(1, longest - stroke) / Math.max(right - left, bottom - top, .2);
  const pen = finer * stroke, frame = pen / 2 + 1;
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil((right - left) * scale + 2 * frame);
  canvas.height = Math.ceil((bottom - top) * scale + 2 * frame);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.setTransform(scale, 0, 0, scale, frame - left * scale, frame - top * scale);
  trace(context, strokes, pen / scale);
  const {data, height, width} = context.getImageData(0, 0, canvas.width, canvas.height);
  const values = Float32Array.from({length: height * width}, (_, i) => data[4 * i + 3] / 255);
  return {ink: {values, height, width}, least: finer * longest};
}

/** Draws strokes with a round pen. */
export function trace(context, strokes, pen) {
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = pen;
  for (const [start, ...others] of strokes) {
    context.beginPath();
    context.moveTo(...start);
    for (const point of others.length ? others : [start]) context.lineTo(...point);
    context.stroke();
  }
}
