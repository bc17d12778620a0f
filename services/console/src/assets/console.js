// Comfort on top of pages that work without it: copy buttons, and a live region that yields to what is being typed.
document.documentElement.classList.add("js");
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  if (!source) return;
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = said; }, 2000);
});
// An update must not take away what a person is typing or has focused.
document.addEventListener("htmx:sse:before:message", (event) => {
  const region = event.target;
  if (region instanceof Element && region.contains(document.activeElement)) event.preventDefault();
});
// A form that sends its text without a new page empties the field, unless the answer is a refusal.
document.addEventListener("htmx:after:swap", (event) => {
  const form = event.target instanceof Element ? event.target.closest("form[data-clear]") : null;
  if (!form || document.querySelector("#outcome [role=alert]")) return;
  const field = document.getElementById(form.dataset.clear);
  if (field) field.value = "";
});
// Ctrl+K goes to the search, as in other consoles.
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
  const search = document.getElementById("find");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});
// In a list of turns that has the focus, j and k go to the next and the last one. Elsewhere, single keys do nothing.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !["j", "k"].includes(event.key)) return;
  const turn = event.target instanceof Element ? event.target.closest("[data-turns] li[tabindex]") : null;
  if (!turn) return;
  const next = event.key === "j" ? turn.nextElementSibling : turn.previousElementSibling;
  if (!next) return;
  event.preventDefault();
  next.focus();
});
// The stream of a session that has ended says so, and the page asks for the sign-in.
document.addEventListener("session-ended", () => location.reload());
document.addEventListener("reload-page", () => location.reload());
