// Requests to the server: the token, errors as sentences, and patience where the server is busy.

let token = "";

export class ServerError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function setToken(text) {
  token = text;
}

// Sends a request and returns the response, or throws a ServerError with the server's own sentence.
async function send(path, options = {}) {
  const headers = new Headers(options.headers || {});
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(0, "unreachable", "the server cannot be reached; start it again and try once more");
  }
  if (response.ok) return response;
  let told = { code: "unknown", message: `the server answered with status ${response.status}` };
  try {
    told = (await response.json()).error;
  } catch {
    // another program in between may answer in another form
  }
  throw new ServerError(response.status, told.code, told.message);
}

export async function getInfo() {
  return (await send("/v1/info")).json();
}

export async function getOpenApi() {
  return (await send("/openapi.json")).blob();
}

export async function getSample(name) {
  return (await send(`/samples/${encodeURIComponent(name)}`)).blob();
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// Sends a body; where the queue is full, it is sent again a little later.
async function sendPatiently(address, body, signal = undefined) {
  for (let trial = 0; ; trial += 1) {
    try {
      return await send(address, { method: "POST", body, signal });
    } catch (error) {
      if (error.code !== "busy" || trial === 20) throw error;
      await pause(1 + Math.random());
    }
  }
}

export async function sendPhoto(path, blob, query = {}, signal = undefined) {
  return (await sendPatiently(`${path}?${new URLSearchParams(query)}`, blob, signal)).json();
}

export async function convert(lines, format) {
  const body = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  return (await sendPatiently(`/v1/convert?format=${format}`, body)).blob();
}
