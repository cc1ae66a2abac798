'use strict';
(() => {
  const run = document.querySelector('.run');
  if (!run) return;
  const find = (selector) => [...run.querySelectorAll(selector)];
  const steps = find('.steps li'), rows = find('.row'), last = steps.length - 1;
  const [slider] = find('input'), [output] = find('output'), [lanes] = find('.lanes');
  const [actor] = find('#actor'), [kind] = find('#kind'), [all] = find('#all');
  let now = 0;
  document.documentElement.classList.add('js');

  // A row or step of the picture or the list that the filters leave out; the start never is.
  const isOut = (step) => step > 0
    && !((!kind.value || steps[step].dataset.kind === kind.value)
      && (!actor.value || steps[step].dataset.actors.split(' ').includes(actor.value)));

  function show(step) {
    now = Math.max(0, Math.min(last, step || 0));
    steps.forEach((item, number) => {
      item.classList.toggle('now', number === now);
      item.classList.toggle('out', isOut(number));
    });
    rows.forEach((row) => {
      const number = Number(row.dataset.step);
      row.classList.toggle('now', number === now);
      row.classList.toggle('ahead', number > now);
      row.classList.toggle('out', isOut(number));
      if (number !== now) return;
      const [box, frame] = [row.getBoundingClientRect(), lanes.getBoundingClientRect()];
      lanes.scrollTop += box.top - frame.top - frame.height / 2;
    });
    if (now === 0) lanes.scrollTop = 0;
    slider.value = now;
    slider.setAttribute('aria-valuetext', `${now}: ${steps[now].querySelector('h2 code').textContent}`);
    output.textContent = `${now} of ${last}`;
    if (now !== Number(location.hash.slice(1))) history.replaceState(null, '', `#${now}`);
  }

  function move(by) {
    let step = now + by;
    while (step > 0 && step <= last && isOut(step)) step += by;
    if (step <= last) show(step);
  }

  const moves = {
    first: () => show(0), previous: () => move(-1), next: () => move(1), last: () => show(last),
  };
  const keys = {
    Home: moves.first, ArrowLeft: moves.previous, ArrowRight: moves.next, End: moves.last,
  };
  find('button[data-to]').forEach((button) => {
    button.addEventListener('click', moves[button.dataset.to]);
  });
  document.addEventListener('keydown', (event) => {
    const isTaken = event.ctrlKey || event.altKey || event.metaKey || event.shiftKey;
    if (isTaken || event.target.tagName === 'SELECT' || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  slider.addEventListener('input', () => show(Number(slider.value)));
  rows.forEach((row) => row.addEventListener('click', () => show(Number(row.dataset.step))));
  [actor, kind].forEach((select) => select.addEventListener('change', () => show(now)));
  all.addEventListener('click', () => {
    all.setAttribute('aria-pressed', run.classList.toggle('all'));
  });
  const open = () => show(Number(location.hash.slice(1)));
  addEventListener('hashchange', open);
  open();
})();
