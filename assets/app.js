// Ticks countdowns, takes over a changed page, says when the connection is lost. Every page is right without it.
"use strict";
(function () {
  var skew = 0, lastHeard = Date.now(), lost = null, waiting = false, stream = null, lastTick = Date.now();

  function sync(root) {
    var head = root.querySelector("[data-now]");
    if (head) skew = Number(head.dataset.now) - Date.now();
  }
  function now() { return Date.now() + skew; }
  function two(n) { return n < 10 ? "0" + n : String(n); }
  function wall(ms) {
    var d = new Date(ms + 8 * 3600e3);
    return two(d.getUTCHours()) + ":" + two(d.getUTCMinutes()) + ":" + two(d.getUTCSeconds());
  }

  // ---- countdowns
  function parts(ms) {
    var s = Math.floor(Math.abs(ms) / 1000), d = Math.floor(s / 86400), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
    if (d > 0) return [[d, "天"], [h % 24, "时"]];
    if (h > 0) return [[h, "时"], [m, "分"]];
    return [[m, "分"], [s % 60, "秒"]];
  }
  function draw(clock) {
    var left = Number(clock.dataset.due) - now(), list = parts(left);
    clock.textContent = "";
    list.forEach(function (part, i) {
      var b = document.createElement("b");
      b.textContent = String(part[0]);
      clock.append(b, " " + part[1] + (i + 1 < list.length ? " " : ""));
    });
    clock.setAttribute("datetime", "PT" + Math.floor(Math.abs(left) / 1000) + "S");
    var was = clock.dataset.left;
    clock.dataset.left = left <= 0 ? "over" : left < 1800e3 ? "tight" : left < 3600e3 ? "soon" : "far";
    // Word, class and order change together: the server draws them.
    if (was && was !== clock.dataset.left) reload();
  }
  function tick() {
    if (document.hidden) return;
    var slept = Date.now() - lastTick;
    lastTick = Date.now();
    // A tab or a machine that slept: its connection may be dead without an error, its page is old.
    if (slept > 20e3) woke();
    document.querySelectorAll("time.clock[data-due]").forEach(draw);
    var t = document.querySelector(".now time");
    if (t) t.textContent = wall(now()).slice(0, 5);
    if (lost) {
      var live = document.querySelector(".live");
      if (live) live.textContent = "断线 " + Math.max(1, Math.round((Date.now() - lost) / 60e3)) + " 分";
    }
  }

  // ---- taking over a changed page
  // Where the keyboard can stop, and what such a stop is known by, so that it stands there still on the fresh page.
  function stops(root) { return Array.from(root.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")); }
  function named(stop) {
    var form = stop.closest("form"), dock = stop.closest(".dock") ? "dock" : "";
    return [dock, stop.tagName, stop.id, stop.getAttribute("href"), form && form.getAttribute("action"), stop.textContent].join(" ");
  }
  function busy() {
    var at = document.activeElement;
    if (at && at.closest("main form") && at.tagName !== "BUTTON") return true;
    return Array.prototype.some.call(document.querySelectorAll("main textarea, main input[type=datetime-local]"), function (f) { return f.value !== ""; });
  }
  function take(text) {
    var fresh = new DOMParser().parseFromString(text, "text/html");
    var main = document.getElementById("main"), other = fresh.getElementById("main");
    if (!main || !other) return;
    var open = Array.prototype.map.call(main.querySelectorAll("details"), function (d) { return d.open; });
    var at = main.contains(document.activeElement) ? stops(main).indexOf(document.activeElement) : -1;
    var key = at < 0 ? "" : named(document.activeElement);
    // The live line stays the same element: it is read out when its words change, and only then.
    var said = main.querySelector("[aria-live]"), says = other.querySelector("[aria-live]");
    var changed = said && says && said.textContent !== says.textContent;
    if (said && says) says.replaceWith(document.adoptNode(said));
    main.replaceWith(document.adoptNode(other));
    if (changed) setTimeout(function () { said.replaceChildren.apply(said, Array.from(document.adoptNode(says).childNodes)); }, 50);
    if (at >= 0) {
      var all = stops(other), same = all.filter(function (stop) { return named(stop) === key; })[0] || all[Math.min(at, all.length - 1)];
      if (same) same.focus({ preventScroll: true });
    }
    var details = document.querySelectorAll("main details");
    if (details.length === open.length) details.forEach(function (d, i) { d.open = open[i]; });
    document.title = fresh.title;
    sync(fresh);
    tick();
  }
  function reload() {
    if (waiting || document.querySelector("main[data-still]")) return;
    waiting = true;
    setTimeout(function () {
      waiting = false;
      if (busy()) { reload(); return; }
      fetch(location.pathname, { credentials: "same-origin" }).then(function (answer) {
        if (answer.redirected) { location.assign(answer.url); return; }
        if (lost && stream && stream.readyState === EventSource.OPEN) here();
        if (answer.ok) lastHeard = Date.now();
        if (answer.ok) return answer.text().then(take);
      }).catch(function () { gone(); });
    }, 800);
  }

  // ---- connection
  function here() {
    lastHeard = Date.now(); lost = null;
    var live = document.querySelector(".live"), line = document.getElementById("lost");
    if (live) { live.hidden = false; live.classList.remove("off"); live.textContent = "已连接"; }
    if (line) line.remove();
  }
  function gone() {
    if (!lost) lost = Date.now();
    var live = document.querySelector(".live"), line = document.getElementById("lost");
    if (live) { live.hidden = false; live.classList.add("off"); }
    if (!line) {
      if (!document.getElementById("main")) return;
      line = document.createElement("div");
      line.id = "lost"; line.className = "say bad"; line.setAttribute("role", "alert");
      document.getElementById("main").before(line);
    }
    // Words that do not change are read out once, however often it is tried.
    var words = "断线。画面停在 " + wall(lastHeard + skew) + "。倒计时照本机钟走，只作参考。正在重连。告警照常发出。";
    if (line.textContent !== words) line.textContent = words;
  }
  function woke() {
    if (!document.querySelector(".live")) return;
    listen();
    reload();
  }
  function listen() {
    if (stream) stream.close();
    var own = stream = new EventSource("/api/v1/events"), first = true;
    stream.onopen = function () { if (own !== stream) return; var was = lost; here(); if (was) reload(); };
    stream.addEventListener("change", function () {
      lastHeard = Date.now();
      if (first) { first = false; return; }
      reload();
    });
    stream.onerror = function () {
      if (own !== stream) return;
      gone();
      if (own.readyState === EventSource.CLOSED) setTimeout(function () { if (own === stream) listen(); }, 5000);
    };
  }

  sync(document);
  tick();
  setInterval(tick, 1000);
  setInterval(reload, 60000);
  document.addEventListener("visibilitychange", function () { if (!document.hidden) tick(); });
  addEventListener("pageshow", function (shown) { if (shown.persisted) woke(); });
  addEventListener("online", woke);
  if (document.querySelector(".live")) listen();
}());
