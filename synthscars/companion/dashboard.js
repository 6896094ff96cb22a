// Keeps an open dashboard up to date: the parts that changed take the place of those shown.
const lost = document.getElementById("lost");
let records = document.body.dataset.records;
async function refresh() {
  if (document.hidden) return;
  let told = "";
  try {
    const address = "/companion/dashboard/data?records=" + encodeURIComponent(records);
    const answer = await fetch(address, {credentials: "same-origin", cache: "no-store"});
    if (answer.ok) {
      const found = await answer.json();
      for (const [name, html] of Object.entries(found.parts)) {
        // Compared as the browser writes it: what is the same must not be read out again.
        const part = document.getElementById(name), made = document.createElement("div");
        made.innerHTML = html;
        if (part && part.innerHTML !== made.innerHTML) part.replaceChildren(...made.childNodes);
      }
      records = found.records;
    } else if (answer.status === 401 || answer.status === 403) {
      told = "You are not logged in as a manager any more: these figures stay as they are.";
    } else {
      told = "The server has trouble: these figures stay as they are.";
    }
  } catch (error) {
    told = "The server does not answer: these figures stay as they are.";
  }
  if (lost.textContent !== told) lost.textContent = told;
}
setInterval(refresh, document.body.dataset.seconds * 1000);
document.addEventListener("visibilitychange", refresh);
