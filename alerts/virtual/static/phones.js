"use strict";
// Swaps each phone's talk when something is said; what somebody is typing stays.
const seen = new Set([...document.querySelectorAll(".talk li[id]")].map((li) => li.id));

function finish(root) {
  for (const time of root.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour12: false });
  }
  for (const li of root.querySelectorAll(".talk li[id]")) {
    if (!seen.has(li.id)) { seen.add(li.id); li.classList.add("fresh"); }
  }
  for (const talk of root.querySelectorAll(".talk")) talk.scrollTop = talk.scrollHeight;
}

async function refresh() {
  const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
  const main = document.querySelector("main");
  for (const phone of page.querySelectorAll(".phone")) {
    const here = document.getElementById(phone.id);
    if (!here) { main.append(phone); finish(phone); continue; }
    here.className = phone.className;
    const habit = here.querySelector(".habit select");
    if (document.activeElement !== habit) habit.value = phone.querySelector(".habit select").value;
    if (here.querySelector(".talk").textContent.trim() === "" || here.dataset.talk !== phone.querySelector(".talk").innerHTML) {
      here.dataset.talk = phone.querySelector(".talk").innerHTML;
      here.querySelector(".talk").replaceWith(phone.querySelector(".talk"));
      finish(here);
    }
  }
}

let busy = false, again = false;
async function change() {
  if (busy) { again = true; return; }
  busy = true;
  try { do { again = false; await refresh(); } while (again); } finally { busy = false; }
}

function listen() {
  const source = new EventSource("/changes");
  source.addEventListener("beat", () => { document.body.classList.remove("cut"); change(); });
  source.addEventListener("change", change);
  source.onerror = () => {
    document.body.classList.add("cut");
    if (source.readyState === EventSource.CLOSED) { source.close(); setTimeout(listen, 1000); }
  };
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, data = new URLSearchParams(new FormData(form, event.submitter));
  if (data.get("body")?.trim() === "") return;
  if (!form.matches(".habit")) form.reset();
  await fetch(form.action, { method: "POST", body: data, headers: { Accept: "application/json" } });
});

finish(document);
listen();
