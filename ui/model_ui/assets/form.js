// Inputs that are made of named controls: rows of a table, texts, tensors as JSON. A slider beside a number moves it.
widgets.form = (root, host) => {
  const controls = [...root.querySelectorAll("[name]")];
  const first = new Map(controls.map((control) => [control, control.value]));

  const pairs = new Map();
  for (const slider of root.querySelectorAll("input[type=range][data-of]"))
    pairs.set(controls.find((control) => control.name === slider.dataset.of), slider);

  const mark = () => {
    for (const [control, slider] of pairs) {
      slider.value = control.value === "" ? slider.min : control.value;
      const { min, max } = slider;
      const outside = control.value !== "" && (Number(control.value) < Number(min) || Number(control.value) > Number(max));
      control.closest(".m-field").classList.toggle("outside", outside);
    }
  };
  const fill = (values, always) => {
    for (const control of controls) control.value = values(control);
    mark();
    host.become();
    host.changed(always);
  };

  root.addEventListener("input", ({ target }) => {
    if (target.dataset.of) {
      const control = controls.find((one) => one.name === target.dataset.of);
      control.value = target.value;
    }
    mark();
    host.become();
    host.changed(false);
  });
  root.addEventListener("submit", (event) => {
    event.preventDefault();
    host.predict();
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) host.predict();
  });
  mark();
  return {
    fields: () => Object.fromEntries(controls.map((control) => [control.name, control.value])),
    empty: () => controls.every((control) => control.value.trim() === ""),
    missing: "Fill in the form first.",
    actions: {
      clear: () => fill(() => "", true),
      example: () => fill((control) => control.dataset.example ?? first.get(control), true),
    },
  };
};
