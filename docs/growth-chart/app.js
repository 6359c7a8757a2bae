// An application as its author would write it, with the public library.
const shown = (id, text) => { document.getElementById(id).textContent = text; };
const told = (error) => shown("problem", error.message || String(error));

async function tell(client) {
  shown("patient", JSON.stringify(await client.patient.read()));
  shown("user", client.user.fhirUser || "");
  shown("scope", client.state.tokenResponse.scope);
  shown("observations", String((await client.patient.request("Observation")).entry?.length ?? 0));
  await client.request("Condition?patient=" + client.patient.id).then(
    (found) => shown("conditions", String(found.entry?.length ?? 0)),
    (error) => shown("conditions", "refused " + (error.status || error.statusCode)));
  document.getElementById("refresh").onclick = async () => {
    const before = client.state.tokenResponse.access_token;
    try {
      await client.refresh();
      const again = await client.patient.read();
      const changed = client.state.tokenResponse.access_token !== before;
      shown("refreshed", changed && again.id === client.patient.id ? "yes" : "no");
    } catch (error) { told(error); }
  };
  shown("ready", "yes");
}
