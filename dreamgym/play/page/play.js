// Sends what keys, mouse and gamepad say, one action a frame that was shown; draws what comes back.
"use strict";

const KEYS = [["a", "d"], ["s", "w"], ["q", "e"], ["j", "l"], ["k", "i"], ["u", "o"]]; // less and more of entries 0 to 5
const $ = (id) => document.getElementById(id);
const held = new Set(); // keys and buttons that are down
let about = null; // what the server says of the dream
let target = null; // of dreams whose actions are places in the picture
let drag = { x: 0, y: 0, wheel: 0, from: null };
let binary = []; // state of two-valued entries
let padPressed = false;
let paused = false;

const socket = new WebSocket(`ws://${location.host}/play`);
socket.binaryType = "arraybuffer";
const say = (message) => { if (socket.readyState === 1) socket.send(JSON.stringify(message)); };
const note = (text, bad = false) => { $("note").textContent = text; $("note").className = bad ? "bad" : ""; };

socket.onmessage = (event) => {
  if (typeof event.data === "string") {
    const message = JSON.parse(event.data);
    if (message.title) $("title").textContent = message.title;
    if (message.hello) begin(message.hello);
    if (message.error) note(message.error, true);
    return;
  }
  show(event.data);
};
socket.onclose = (event) => note(event.reason || "the server has stopped: start dreamgym play again", true);

function begin(hello) {
  about = hello;
  target = hello.pointer ? hello.hold.slice() : null;
  binary = hello.hold.slice();
  $("task").replaceChildren(...hello.tasks.map((name) => new Option(name.replaceAll("_", " "), name)));
  $("twin").hidden = !hello.twin;
  const rows = hello.axes.map((name, i) => {
    const row = document.createElement("tr");
    const two = hello.binary.includes(i);
    const keys = two ? ["", "space"] : (KEYS[i] || ["", ""]);
    for (const part of [name, ["-", keys[0]], "", ["+", keys[1]], ""]) {
      const cell = row.insertCell();
      if (typeof part === "string") { cell.textContent = part; continue; }
      if (two && part[0] === "-") continue;
      const button = document.createElement("button");
      button.textContent = part[1] || part[0];
      button.title = two ? `${name}: other way` : `${name} ${part[0] === "+" ? "more" : "less"}`;
      if (two) button.onclick = () => flip(i);
      else hold(button, `${i}${part[0]}`);
      cell.append(button);
    }
    return row;
  });
  $("axes").replaceChildren(...rows);
  $("how").textContent = hello.pointer
    ? "The mouse on the picture says where to go; or the keys of the table, or a gamepad."
    : "Keys as in the table, or drag on the picture and turn the wheel, or a gamepad.";
  note("drive: the clock runs");
}

function hold(button, name) {
  button.onpointerdown = () => held.add(name);
  for (const end of ["onpointerup", "onpointerleave", "onpointercancel"]) button[end] = () => held.delete(name);
}

const flip = (i) => { binary[i] = binary[i] === about.high[i] ? about.low[i] : about.high[i]; };

function gamepad() {
  const pad = [...(navigator.getGamepads ? navigator.getGamepads() : [])].find(Boolean);
  if (!pad) return null;
  const dead = (v) => (Math.abs(v || 0) < 0.12 ? 0 : v);
  const pressed = Boolean(pad.buttons[0] && pad.buttons[0].pressed);
  if (pressed && !padPressed) about.binary.forEach(flip);
  padPressed = pressed;
  const up = (pad.buttons[7]?.value || 0) - (pad.buttons[6]?.value || 0);
  return [dead(pad.axes[0]), -dead(pad.axes[1]), up, dead(pad.axes[2]), -dead(pad.axes[3]), 0];
}

function action() {
  const strength = Number($("strength").value), pad = gamepad();
  return about.axes.map((_, i) => {
    if (about.binary.includes(i)) return binary[i];
    const keys = KEYS[i] || [];
    let push = 0;
    if (held.has(keys[1]) || held.has(`${i}+`)) push += 1;
    if (held.has(keys[0]) || held.has(`${i}-`)) push -= 1;
    if (pad && pad[i]) push += pad[i];
    if (!about.pointer) push += [drag.x, -drag.y, drag.wheel][i] || 0;
    push = Math.max(-1, Math.min(1, push));
    if (target) { // a place: keys move it
      target[i] += push * strength * (about.high[i] - about.low[i]) * 0.03;
      target[i] = Math.max(about.low[i], Math.min(about.high[i], target[i]));
      return target[i];
    }
    const room = push > 0 ? about.high[i] - about.hold[i] : about.hold[i] - about.low[i];
    return about.hold[i] + push * strength * room;
  });
}

function show(data) {
  const view = new DataView(data), length = view.getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let at = 4 + length;
  for (const name of ["dream", "twin"]) {
    const side = head[name];
    if (!side) continue;
    const [height, width] = side.shape;
    paint($(name).querySelector("canvas"), new Uint8Array(data, at, height * width * 3), width, height);
    at += height * width * 3;
    meter($(name).querySelector(".meter"), side.success_probability, 1);
    const uncertain = $(name).querySelector(".uncertainty");
    if (uncertain) {
      uncertain.hidden = side.uncertainty === null;
      if (side.uncertainty !== null) meter(uncertain, side.uncertainty, 1.5 * (about.uncertainty_limit || 1));
    }
    const why = { success: "done", horizon: "time is up", uncertainty: "too uncertain to go on", failure: "the model failed" };
    $(name).querySelector(".ended").textContent = side.ended ? `${why[side.ended]}: press R` : side.is_success ? "done" : "";
  }
  $("return").disabled = !head.marked;
  $("keep").hidden = head.recorded === null;
  if (head.recorded !== null) $("keep").title = `${head.recorded} kept`;
  if ($("task").value !== head.task) $("task").value = head.task;
  $("clock").textContent = `step ${head.elapsed}` + (head.start >= 0 ? `, start ${head.start}` : "")
    + (head.recorded === null ? "" : `, ${head.recorded} episodes kept`);
  document.body.dataset.frame = head.frame; // for tests
  document.body.dataset.elapsed = head.elapsed;
  const act = action();
  [...$("axes").rows].forEach((row, i) => { row.cells[4].textContent = act[i].toFixed(2); });
  say({ kind: "action", value: act });
  say({ kind: "shown", frame: head.frame });
  drag.wheel *= 0.7;
}

function paint(canvas, rgb, width, height) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.style.setProperty("--aspect", width / height);
  }
  const image = new ImageData(width, height);
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += 4) {
    image.data[j] = rgb[i]; image.data[j + 1] = rgb[i + 1]; image.data[j + 2] = rgb[i + 2]; image.data[j + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function meter(element, value, most) {
  element.querySelector("i").style.width = `${Math.max(0, Math.min(1, value / most)) * 100}%`;
  element.querySelector("b").textContent = value === 0 || value >= 0.01 ? value.toFixed(2) : value.toExponential(0);
}

const reset = () => { say({ kind: "reset", task: $("task").value }); note("a new episode"); };
const pause = () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  say({ kind: "pause", on: paused });
  note(paused ? "paused" : "the clock runs");
};
const mark = () => { say({ kind: "mark" }); note("marked: N comes back here"); };
const goBack = () => { say({ kind: "return" }); note("back at the mark"); };
const keep = () => { say({ kind: "keep" }); note("kept"); };

$("reset").onclick = reset; $("pause").onclick = pause; $("mark").onclick = mark;
$("return").onclick = goBack; $("keep").onclick = keep;
$("task").onchange = () => { reset(); $("task").blur(); };
$("speed").oninput = () => {
  const value = Number($("speed").value);
  $("speedOut").textContent = `${value.toFixed(1)}x`;
  say({ kind: "speed", value });
};
$("strength").oninput = () => { $("strengthOut").textContent = Number($("strength").value).toFixed(2); };

const COMMANDS = { r: reset, p: pause, b: mark, n: goBack, t: keep };
window.onkeydown = (event) => {
  if (!about || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const key = event.key.toLowerCase();
  if (key === " ") { event.preventDefault(); if (!event.repeat) about.binary.forEach(flip); return; }
  if (COMMANDS[key]) { if (!event.repeat && !(key === "n" && $("return").disabled) && !(key === "t" && $("keep").hidden)) COMMANDS[key](); return; }
  held.add(key);
};
window.onkeyup = (event) => held.delete(event.key.toLowerCase());
window.onblur = () => { held.clear(); drag.x = drag.y = 0; };

for (const canvas of document.querySelectorAll("canvas")) {
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  canvas.onpointerdown = (event) => { canvas.setPointerCapture(event.pointerId); drag.from = place(event); };
  canvas.onpointermove = (event) => {
    if (!about) return;
    const at = place(event);
    if (about.pointer && target) {
      about.pointer.forEach((i, axis) => { target[i] = about.low[i] + at[axis] * (about.high[i] - about.low[i]); });
    } else if (drag.from) {
      drag.x = Math.max(-1, Math.min(1, (at[0] - drag.from[0]) * 5));
      drag.y = Math.max(-1, Math.min(1, (at[1] - drag.from[1]) * 5));
    }
  };
  canvas.onpointerup = canvas.onpointercancel = () => { drag.from = null; drag.x = drag.y = 0; };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    drag.wheel = Math.max(-1, Math.min(1, drag.wheel - event.deltaY / 300));
  }, { passive: false });
}
