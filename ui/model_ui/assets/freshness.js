// Which input the shown answer belongs to; pure, so that it can be tested without a page. An input gets a number when
// it comes to be, and keeps it: what undo brings back is the input that it was. Times are in milliseconds.
const LATE_MS = 20000; // longer than the server's own deadline: what is not answered by then was lost on the way
const AGAIN_MS = 3000;

const makeFreshness = () => {
  let newest = 0;
  let current = 0;
  let asked = null;
  let since = 0;
  let shown = null;
  let again = false;
  return {
    get current() {
      return current;
    },
    // Another input from now on: a new one, or one of before.
    become: (number = ++newest) => (current = number),
    ask: (now) => {
      asked = current;
      since = now;
    },
    // What stands in the place of the answer: about an input, or about none (null); `more` means that it is not the last word.
    answered: (number, more, now) => {
      shown = number;
      again = more;
      if (number === asked) since = now;
    },
    // Whether what is shown is about another input.
    stale: () => shown !== null && shown !== current,
    // Whether the current input was asked about, and its answer is still to come.
    waiting: () => asked === current && shown !== current,
    wasAsked: () => asked === current,
    // Whether to ask about the current input again.
    due: (now) => {
      if (asked !== current) return false;
      return shown === current ? again && now - since >= AGAIN_MS : now - since >= LATE_MS;
    },
  };
};
