"""The HTTP door: a request becomes an `EntryRequest`, an `EntryResponse` becomes a response.

`door.Door` is a pure ASGI application for everything under `/fhir/{tenant}`; `recorder.Recorder` gives every request
its id, its log line and its metrics; `health.router` answers probes. What a resource is, and who may see it, is decided
below.
https://hl7.org/fhir/R4/http.html
"""
