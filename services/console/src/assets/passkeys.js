// Passkeys: the dialog of the browser, on top of forms that the server checks.
const toBytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const withBytes = (list) => list.map((one) => ({ ...one, id: toBytes(one.id) }));

// The fields of each form that the server needs to begin.
const NEEDED = { "sign-in": [], claim: ["key", "email"], invitation: ["invitation"], add: ["_token", "name"], confirm: ["_token"] };

async function register(options) {
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: withBytes(options.excludeCredentials),
  };
  const made = await navigator.credentials.create({ publicKey });
  return {
    id: made.id,
    clientDataJSON: toText(made.response.clientDataJSON),
    attestationObject: toText(made.response.attestationObject),
    transports: made.response.getTransports?.() ?? [],
  };
}

async function assertion(options) {
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    allowCredentials: withBytes(options.allowCredentials),
  };
  const used = await navigator.credentials.get({ publicKey });
  return {
    id: used.id,
    clientDataJSON: toText(used.response.clientDataJSON),
    authenticatorData: toText(used.response.authenticatorData),
    signature: toText(used.response.signature),
    userHandle: used.response.userHandle ? toText(used.response.userHandle) : null,
  };
}

async function usePasskey(part) {
  const form = part.closest("form");
  const said = part.querySelector("[role=status]");
  const button = part.querySelector("button");
  const asked = new URLSearchParams({ for: part.dataset.passkey });
  for (const name of NEEDED[part.dataset.passkey]) {
    const field = form.elements[name];
    if (!field.reportValidity()) return;
    asked.set(name, field.value);
  }
  said.textContent = "";
  button.disabled = true;
  try {
    const response = await fetch(part.dataset.begin, { method: "POST", body: asked });
    const options = await response.json();
    if (!response.ok) {
      said.textContent = options.message;
      return;
    }
    const answer = options.user ? await register(options) : await assertion(options);
    form.elements._passkey.value = JSON.stringify(answer);
    form.submit();
  } catch (error) {
    said.textContent =
      error.name === "InvalidStateError"
        ? "This device has a passkey of yours already."
        : "No passkey was used. Try again, or choose another way.";
  } finally {
    button.disabled = false;
  }
}

for (const part of document.querySelectorAll("[data-passkey]")) {
  const button = part.querySelector("button");
  if (location.origin === part.dataset.origin && window.PublicKeyCredential) {
    button.addEventListener("click", () => usePasskey(part));
    continue;
  }
  button.hidden = true;
  part.querySelector("[role=status]").textContent =
    location.origin === part.dataset.origin
      ? "This browser has no passkeys."
      : `Passkeys work at ${part.dataset.origin} only.`;
}
