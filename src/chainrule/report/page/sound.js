"use strict";
// The learning curve as tones: pitch is the logarithm of the loss, a click is a thing to look at.
const SECONDS = 4, LOWEST = 220, OCTAVES = 2; // Hz

function pitches(losses) { // null, silence, where a loss has no logarithm
  const logs = losses.map((v) => (v > 0 && Number.isFinite(v) ? Math.log(v) : null));
  const known = logs.filter((v) => v !== null);
  const low = Math.min(...known), range = Math.max(...known) - low || 1;
  return logs.map((v) => (v === null ? null : LOWEST * 2 ** ((OCTAVES * (v - low)) / range)));
}

// points: [step, loss] in order; clicks: steps.  Gives back what stops it; ended() is called once.
function playCurve(points, clicks, ended) {
  const tones = new AudioContext();
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const start = tones.currentTime + 0.1;
  const at = (step) => start + (SECONDS * (step - first)) / (last - first || 1);
  const sounds = (type, loudness) => {
    const voice = tones.createOscillator(), volume = tones.createGain();
    voice.type = type;
    volume.gain.value = loudness;
    voice.connect(volume).connect(tones.destination);
    return [voice, volume.gain];
  };
  const [voice, gain] = sounds("sine", 0);
  pitches(points.map((p) => p[1])).forEach((pitch, i) => {
    const time = at(points[i][0]);
    if (pitch !== null) voice.frequency.setValueAtTime(pitch, time);
    gain.setValueAtTime(pitch === null ? 0 : 0.1, time);
  });
  clicks.filter((step) => step >= first && step <= last).forEach((step) => {
    const [click] = sounds("square", 0.2);
    click.frequency.value = 1500;
    click.start(at(step));
    click.stop(at(step) + 0.015);
  });
  voice.onended = () => { tones.close(); ended(); };
  voice.start(start);
  voice.stop(start + SECONDS + 0.1);
  return () => voice.stop();
}
