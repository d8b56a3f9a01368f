// Image files for the Try page: read, made small before they travel, and a place where one is dropped, pasted or chosen.
const LONGEST_SIDE = 1024; // no model here sees more: a photo is made small before it travels
const SMALL_BYTES = 400000;
const UNREADABLE = "This file is not an image that can be read. Take a PNG or JPEG.";

const asUrl = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

// The bitmap of an image file; null when it cannot be read, which is said, or another input was opened meanwhile.
const bitmapOf = async (blob, host) => {
  let found;
  try {
    found = await createImageBitmap(blob);
  } catch {
    host.say(UNREADABLE);
    return null;
  }
  return host.isOpen() ? found : null;
};

// The data URL of an image file as it is sent; `found` is its bitmap.
const smallUrl = async (blob, found) => {
  const known = blob.type === "image/png" || blob.type === "image/jpeg";
  const longest = Math.max(found.width, found.height);
  if (known && blob.size <= SMALL_BYTES && longest <= LONGEST_SIDE) return asUrl(blob);
  const scale = Math.min(1, LONGEST_SIDE / longest);
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round(found.width * scale));
  small.height = Math.max(1, Math.round(found.height * scale));
  small.getContext("2d").drawImage(found, 0, 0, small.width, small.height);
  return small.toDataURL("image/png");
};

// Have `take` called with each file that is chosen, dropped on a place or pasted into it.
const onFiles = (root, place, take) => {
  const file = root.querySelector("input[type=file]");
  file.addEventListener("change", async () => {
    if (file.files.length) await take(file.files[0]);
    file.value = "";
  });
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  place.addEventListener("paste", (event) => {
    const found = [...event.clipboardData.files];
    if (found.length) take(found[0]);
  });
  return () => file.click();
};

// A place for one image file, which is shown as it is sent.
widgets.picture = (root, host) => {
  const place = root.querySelector(".m-picture");
  const shown = place.querySelector("img");
  let image = "";

  const show = (url) => {
    image = url;
    shown.hidden = url === "";
    shown.src = url || "data:,";
    place.querySelector(".m-hint").hidden = url !== "";
  };
  const take = async (blob) => {
    const found = await bitmapOf(blob, host);
    if (!found) return;
    const number = host.become();
    const url = await smallUrl(blob, found);
    // Reading takes a moment, in which somebody may have taken another one.
    if (host.number() !== number) return;
    show(url);
    host.changed(true);
  };
  const upload = onFiles(root, place, take);
  return {
    fields: () => ({ image }),
    empty: () => image === "",
    picture: () => image,
    missing: "Choose an image first, drop one here, or paste one.",
    actions: {
      upload,
      clear: () => {
        host.become();
        show("");
        host.changed(true);
      },
    },
  };
};
