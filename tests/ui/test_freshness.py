"""Which image an answer belongs to, as the sketchpad keeps it, through any order of what can happen."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from model_ui import assets

pytestmark = pytest.mark.browser

# Draws, undoes, asks, loses and delays answers at random; says which rule was broken first. An answer is right only
# when it is about the image on the paper, whatever was asked, answered or lost before.
RANDOM = """
(seed) => {
  let state = seed;
  const random = (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
  const freshness = makeFreshness();
  const past = [];
  const onTheWay = [];
  let now = 0;
  let shown = null;
  let away = false;
  const ask = () => {
    freshness.ask(now);
    onTheWay.push(freshness.current);
  };
  const answer = (at) => {
    const [about] = onTheWay.splice(at, 1);
    shown = about;
    freshness.answered(about, away, now);
  };
  const events = [
    () => { past.push(freshness.current); freshness.become(); },
    () => { if (past.length) freshness.become(past.pop()); },
    ask,
    () => { if (onTheWay.length) answer(random(onTheWay.length)); },
    () => { if (onTheWay.length) onTheWay.splice(random(onTheWay.length), 1); },
    () => { away = !away; },
    () => { now += random(8000); if (freshness.due(now)) ask(); },
    () => { shown = null; freshness.answered(null, false, now); },
  ];
  for (let step = 0; step < 60; step++) {
    events[random(events.length)]();
    const other = shown !== null && shown !== freshness.current;
    if (other && !freshness.stale()) return `step ${step}: another image's answer is shown`;
    if (!other && freshness.stale()) return `step ${step}: its own answer is hidden`;
  }
  away = false;
  ask();
  onTheWay.length = 0; // this question is lost, too
  for (let second = 0; second < 60; second++) {
    now += 1000;
    if (freshness.due(now)) ask();
    if (onTheWay.length) answer(onTheWay.length - 1);
  }
  if (shown !== freshness.current || freshness.stale()) return "the last image was never answered";
  return freshness.due(now + 100000) ? "it is asked again although it was answered" : null;
}
"""


@pytest.fixture
def blank(open_page: Callable[[int], Page]) -> Page:
    """A page with nothing but the rules in it."""
    page = open_page(400)
    page.evaluate(f"() => {{ {assets.text('freshness.js')} window.makeFreshness = makeFreshness; }}")
    return page


def test_no_answer_is_shown_beside_another_image_and_the_last_one_is_answered(blank: Page) -> None:
    found = blank.evaluate(f"() => Array.from({{ length: 3000 }}, (_, seed) => ({RANDOM})(seed))")
    assert [(seed, broken) for seed, broken in enumerate(found) if broken] == []


def test_an_answer_that_is_not_the_last_word_is_asked_for_again_after_a_pause(blank: Page) -> None:
    due = blank.evaluate(
        """() => {
            const freshness = makeFreshness();
            freshness.become();
            freshness.ask(0);
            freshness.answered(freshness.current, true, 1000);
            return [1500, 5000].map((now) => freshness.due(now));
        }"""
    )
    assert due == [False, True]
