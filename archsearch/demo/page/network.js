// The model, in onnxruntime's WebAssembly: pixels in, probabilities and maps of the first layers out.

import * as ort from "../vendor/ort.wasm.bundle.min.mjs";

const PACKED = "vendor/ort-wasm-simd-threaded.wasm.gz";

/** Loads the model and gives a function that asks it.
 *
 * @param layers Names of the outputs that are maps.
 * @returns Pixels, a Uint8Array of `shape`, to {probabilities, layers}: each layer a tensor (1, channels, height, width).
 */
export async function load(shape, layers) {
  const [runtime, model] = await Promise.all([bytes(PACKED).then(unpacked), bytes("model.onnx")]);
  ort.env.wasm.numThreads = 1;  // more would need headers that static web servers do not send
  ort.env.wasm.wasmBinary = runtime;
  const session = await ort.InferenceSession.create(model, {logSeverityLevel: 3});
  return async pixels => {
    const image = new ort.Tensor("uint8", pixels, [1, ...shape]);
    const found = await session.run({image});
    return {probabilities: found.probabilities.data, layers: layers.map(name => found[name])};
  };
}

async function bytes(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Some servers mark .gz files as compressed, and the browser has then unpacked them already. */
async function unpacked(data) {
  const packed = data[0] === 0x1f && data[1] === 0x8b;
  if (!packed) return data;
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
