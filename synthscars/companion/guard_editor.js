// Shows in Label Studio's editor why an answer was refused; by itself it would only say "not saved".
// And hides what is refused to everybody but managers, so that nobody tries it in vain.
// The guard puts this script into every page. It changes nothing of what is sent.
(() => {
  "use strict";
  const MARK = "x-synthscars-refused";
  const MANAGERS = new Set(["Create", "Create Project", "Invite Members", "Settings", "Import", "Export"]);
  const { role } = document.currentScript.dataset;
  const original = window.fetch;

  window.fetch = async function (...request) {
    const answer = await original.apply(this, request);
    if (!answer.headers.get(MARK)) return answer;
    const body = await answer.clone().json();
    show(body);
    // With this reason the editor adds no message of its own to ours.
    const silent = JSON.stringify({ ...body, display_context: { reason: "PAUSED" } });
    return new Response(silent, { status: answer.status, statusText: answer.statusText, headers: answer.headers });
  };

  function element(name, text, style) {
    const made = document.createElement(name);
    if (text) made.textContent = text; // never as HTML: it repeats what people typed
    if (style) made.style.cssText = style;
    return made;
  }

  // Keys pressed in a message are not the editor's hotkeys.
  function quiet(box) {
    for (const kind of ["keydown", "keyup", "keypress"]) box.addEventListener(kind, (event) => event.stopPropagation());
  }

  function show(body) {
    document.getElementById("synthscars-refused")?.remove();
    const box = element("dialog", "", "max-width: 34rem; width: calc(100% - 2rem); max-height: 80vh; overflow: auto; " +
      "margin: auto; padding: 1.25rem 1.5rem; border: 0; border-radius: 8px; border-top: 6px solid #c0392b; " +
      "background: #fff; color: #1c1c1c; font: 16px/1.45 system-ui, sans-serif; box-shadow: 0 8px 40px #0006");
    box.id = "synthscars-refused";
    box.setAttribute("role", "alertdialog");
    box.setAttribute("aria-labelledby", "synthscars-refused-title");
    const title = element("h2", String(body.detail), "font-size: 1.1em; font-weight: 600; margin: 0 0 0.75em");
    title.id = "synthscars-refused-title";
    box.append(title);
    for (const [where, wrong] of Object.entries(body.validation_errors ?? {})) {
      box.append(element("h3", where, "font-size: 1em; font-weight: 600; margin: 0.75em 0 0.25em"));
      const list = element("ul", "", "margin: 0; padding-left: 1.4em; list-style: disc");
      for (const one of wrong) list.append(element("li", String(one), "margin: 0.2em 0"));
      box.append(list);
    }
    const button = element("button", "Back to the picture", "margin-top: 1.25em; padding: 0.5em 1.1em; border: 0; " +
      "border-radius: 5px; background: #1f5fbf; color: #fff; font: inherit; cursor: pointer");
    button.addEventListener("click", () => box.close());
    box.append(button);
    box.addEventListener("close", () => box.remove());
    quiet(box);
    document.body.append(box);
    box.showModal();
    button.focus();
  }

  function hideWhatIsNotTheirs() {
    // They have nothing but their texts to be told by.
    for (const one of document.querySelectorAll("a, button")) {
      if (MANAGERS.has(one.textContent.trim())) one.style.display = "none";
    }
  }

  if (role && role !== "manager") {
    let planned = 0; // not at every change: drawing changes the page all the time
    new MutationObserver(() => {
      planned ||= setTimeout(() => { planned = 0; hideWhatIsNotTheirs(); }, 200);
    }).observe(document, { childList: true, subtree: true });
  }

  // The editor's own warnings leave the keyboard with the page: as above, Enter and Escape are to close them.
  new MutationObserver(() => {
    const warning = document.querySelector(".ant-modal-confirm:not([data-synthscars])");
    const button = warning?.querySelector(".ant-modal-confirm-btns button:last-child");
    if (!button) return;
    warning.dataset.synthscars = "seen";
    quiet(warning);
    warning.addEventListener("keydown", (event) => {
      if (event.key === "Escape") button.click();
    });
    setTimeout(() => button.focus(), 50);
  }).observe(document, { childList: true, subtree: true });
})();
