// Menus close when they are left: by Escape, by a click elsewhere, by the focus going elsewhere.

const open = () => document.querySelector("details.menu[open]"); // they share a name, so there is one at most

function left({ target }) {
  const menu = open();
  if (menu && !menu.contains(target)) menu.open = false;
}

document.addEventListener("click", left);
document.addEventListener("focusin", left);
document.addEventListener("keydown", (event) => {
  const menu = open();
  if (event.key !== "Escape" || event.isComposing || !menu) return;
  const inside = menu.contains(document.activeElement);
  menu.open = false;
  if (inside) menu.querySelector("summary").focus();
});
