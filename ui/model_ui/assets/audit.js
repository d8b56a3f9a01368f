// The audit log: the tooltip of each time is that of the visitor's own clock.
const localize = () => {
  for (const time of element.querySelectorAll("time")) {
    const local = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    time.title = `${local} here`;
  }
};
// The value is told before the new rows are there.
watch("value", () => requestAnimationFrame(localize));
localize();
