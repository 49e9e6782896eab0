// The server's HTTP API, below the folder in which this page is.

/** The whole answer (`data`, `warnings`, `infos`). Throws an Error with the server's own words. */
export async function answer(path, parameters = {}, signal = undefined) {
  const form = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ""));
  const long = String(form).length > 1500; // an expression of any length goes into a body
  const address = `api/v1/${path}`;
  const response = await fetch(long ? address : `${address}?${form}`, long ? { method: "POST", body: form, signal } : { signal });
  let said;
  try {
    said = await response.json();
  } catch {
    throw new Error(`${response.status} ${response.statusText || "from the server, and no JSON"}`);
  }
  if (said.status !== "success") throw new Error(said.error ?? `status ${response.status}`);
  return said;
}

export const ask = async (path, parameters, signal) => (await answer(path, parameters, signal)).data;
