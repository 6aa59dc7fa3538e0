"""report_browser.py PAGE BROKEN DIR PROFILE - looks at a report's page as a
reader does: both schemes, paper, 400 pixels, the keyboard, no scripts."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))
from browser import Browser  # noqa: E402

page, broken, pictures, profile = sys.argv[1:]
failed = False


def check(what, wrong):
    global failed
    if wrong:
        failed = True
        for line in wrong[:8]:
            print("#  ", line)
    print("not ok" if wrong else "ok", what)


# What is wrong with the structure.
STRUCTURE = """(() => {
  const wrong = [], all = s => [...document.querySelectorAll(s)];
  if (document.documentElement.lang !== 'en') wrong.push('no language');
  if (!document.title) wrong.push('no title');
  for (const s of ['h1', 'main', 'body > header'])
    if (all(s).length !== 1) wrong.push(all(s).length + ' of ' + s);
  let level = 0;
  for (const h of all('h1,h2,h3,h4,h5,h6')) {
    if (+h.tagName[1] > level + 1) wrong.push('a level is left out: ' +
                                              h.textContent);
    level = +h.tagName[1];
  }
  for (const t of all('table')) {
    if (!t.caption || !t.caption.textContent) wrong.push('no caption');
    if (t.querySelectorAll('thead th:not([scope=col])').length ||
        t.querySelectorAll('tbody th:not([scope=row])').length ||
        !t.querySelector('thead th')) wrong.push('a head without its scope');
  }
  for (const s of all('svg')) {
    const first = s.firstElementChild;
    if (s.getAttribute('role') !== 'img') wrong.push('a chart is no image');
    if (!first || first.tagName !== 'title' || !first.textContent)
      wrong.push('a chart has no title');
    if (!s.querySelector('desc')) wrong.push('a chart is not described');
  }
  for (const r of all('[role=region]'))
    if (!r.getAttribute('aria-label')) wrong.push('a region has no name');
  if (all('script,img,iframe,link,object,[style],[onclick]').length)
    wrong.push('something that loads, runs or styles');
  const ids = all('[id]').map(e => e.id);
  if (new Set(ids).size !== ids.length) wrong.push('an id twice');
  return wrong;
})()"""

# Labels that leave their chart, or lie on each other.
LABELS = """(() => {
  const wrong = [];
  for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map(
      t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([name, r], i) => {
      if (r.left < frame.left - 1 || r.right > frame.right + 1 ||
          r.top < frame.top - 2 || r.bottom > frame.bottom + 2)
        wrong.push('cut: ' + name);
      for (const [other, o] of texts.slice(i + 1))
        if (Math.min(r.right, o.right) - Math.max(r.left, o.left) > 1 &&
            Math.min(r.bottom, o.bottom) - Math.max(r.top, o.top) > 5)
          wrong.push('overlap: ' + name + ' / ' + other);
    });
  }
  return wrong;
})()"""

# Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2 1.4.3).
CONTRAST = """(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92
    : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) =>
      s + v * [.2126, .7152, .0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  let count = 0, least = 99;
  for (const e of document.querySelectorAll('body *')) {
    const inside = e.closest('svg');
    if (inside ? e.tagName !== 'text' :
        ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
      continue;
    const style = getComputedStyle(e);
    const a = light(parse(inside ? style.fill : style.color));
    const b = light(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    count++;
    least = Math.min(least, ratio);
    if (ratio < 4.5) wrong.push(ratio.toFixed(2) + ': ' + e.textContent);
  }
  if (count < 20) wrong.push('only ' + count + ' texts were looked at');
  return [wrong, least];
})()"""

# What has the focus, and whether one sees it.
FOCUS = """(() => {
  const e = document.activeElement, r = e.getBoundingClientRect();
  const style = getComputedStyle(e);
  return [e.className || e.tagName.toLowerCase(),
          r.width > 0 && r.right > 0 && r.bottom > 0 && r.top < innerHeight &&
            parseFloat(style.outlineWidth) >= 2 &&
            style.outlineStyle !== 'none',
          [...document.querySelectorAll('a,[tabindex="0"]')].indexOf(e)];
})()"""
WIDE = """(() => {
  const room = document.documentElement.clientWidth;
  const wide = document.documentElement.scrollWidth;
  return wide > room ? [wide + ' of ' + room + ' pixels'] : [];
})()"""


def refusals(browser):
    return [e["params"]["entry"]["text"] for e in browser.events
            if e.get("method") == "Log.entryAdded"
            and "Content Security Policy" in e["params"]["entry"]["text"]]


def requests(browser):
    return [e["params"]["request"]["url"] for e in browser.events
            if e.get("method") == "Network.requestWillBeSent"]


b = Browser(profile)
try:
    b.size(1000, 800)
    b.media()
    b.open(f"file://{page}")
    light = b.picture(f"{pictures}/light.png")
    check("the page's own style is not refused", refusals(b))
    check("nothing is loaded", requests(b)[1:])
    check("headings, landmarks, tables, charts", b.ask(STRUCTURE))
    check("labels", b.ask(LABELS))
    wrong, least = b.ask(CONTRAST)
    check(f"contrast, light: {least:.1f} and more", wrong)
    check("no sideways scrolling at 1,000 pixels", b.ask(WIDE))
    b.media("dark")
    dark = b.picture(f"{pictures}/dark.png")
    check("dark is not light", [] if dark != light else ["the same"])
    wrong, least = b.ask(CONTRAST)
    check(f"contrast, dark: {least:.1f} and more", wrong)
    b.size(718, 1000)  # a sheet between its margins
    b.media("dark", "print")
    background = b.ask("getComputedStyle(document.body).backgroundColor")
    check("paper is white, dark or not",
          [] if background == "rgb(255, 255, 255)" else [background])
    wrong, least = b.ask(CONTRAST)
    check(f"contrast on paper: {least:.1f} and more", wrong)
    check("nothing is cut on paper", b.ask(WIDE))
    b.picture(f"{pictures}/paper.png")
    b.media()
    b.paper(f"{pictures}/report.pdf")
    b.size(400, 800)
    check("no sideways scrolling at 400 pixels", b.ask(WIDE))
    b.picture(f"{pictures}/narrow.png")

    b.size(1000, 800)
    b.open(f"file://{page}")
    count = b.ask("document.querySelectorAll('a,[tabindex=\"0\"]').length")
    order, wrong = [], []
    for i in range(count):
        b.press("Tab", 9)
        name, seen, place = b.ask(FOCUS)
        order.append(place)
        if not seen:
            wrong.append(f"focus {i} on {name} is not seen")
        if i == 0:
            b.picture(f"{pictures}/focus.png")
            if name != "skip":
                wrong.append(f"the first is {name}")
    if order != list(range(count)):
        wrong.append(f"order {order}")
    check(f"the keyboard goes through {count} places in order", wrong)
    b.open(f"file://{page}")
    b.press("Tab", 9)
    b.press("Enter", 13)
    where = b.ask("document.activeElement.tagName")
    check("the first place skips to the content",
          [] if where == "MAIN" else [where])

    b.call("Emulation.setScriptExecutionDisabled", value=True)
    b.open(f"file://{page}")
    check("without scripts it looks the same",
          [] if b.picture(f"{pictures}/scriptless.png") == light
          else ["another picture"])
    b.call("Emulation.setScriptExecutionDisabled", value=False)

    b.open(f"file://{broken}")
    check("a script that got in does not run",
          [] if b.ask("document.title") != "ran" else ["it ran"])
    check("its attempt is refused by the policy",
          [] if refusals(b) else ["nothing was refused"])
    ink = b.ask("getComputedStyle(document.getElementById('inked')).color")
    check("a style that got in is not applied",
          [] if ink != "rgb(255, 0, 0)" else [ink])
    b.size(400, 800)
    check("a long word in a title is broken", b.ask(WIDE))
finally:
    b.close()
sys.exit(failed)
