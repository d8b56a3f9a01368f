// Which image the shown answer belongs to; pure, so that it can be tested without a page. An image gets a number when
// it comes to be, and keeps it: what undo brings back is the image that it was. Times are in milliseconds.
const LATE_MS = 20000; // longer than the server's own deadline: what is not answered by then was lost on the way
const AGAIN_MS = 3000;

const makeFreshness = () => {
  let newest = 0;
  let image = 0;
  let asked = null;
  let since = 0;
  let shown = null;
  let again = false;
  return {
    get image() {
      return image;
    },
    // Another image from now on: a new one, or one of before.
    become: (number = ++newest) => (image = number),
    ask: (now) => {
      asked = image;
      since = now;
    },
    // What stands in the place of the answer: about an image, or about none (null); `more` means that it is not the last word.
    answered: (number, more, now) => {
      shown = number;
      again = more;
      if (number === asked) since = now;
    },
    // Whether what is shown is about another image.
    stale: () => shown !== null && shown !== image,
    // Whether the current image was asked about, and its answer is still to come.
    waiting: () => asked === image && shown !== image,
    wasAsked: () => asked === image,
    // Whether to ask about the current image again.
    due: (now) => {
      if (asked !== image) return false;
      return shown === image ? again && now - since >= AGAIN_MS : now - since >= LATE_MS;
    },
  };
};
