"""XML in and out, driven by the definitions: `reader.parse` makes the resource that JSON would, `writer.write` its XML.

Read by expat, which opens nothing: no file, no network, no DTD. It also tells where narrative stands in the text, which
is kept letter by letter.
https://hl7.org/fhir/R4/xml.html
"""
