"""The keeper of the keys: people prove who they are here, and access tokens are issued and verified.

`tokens.issue` makes an access token, `AccessTokens.caller` turns one into the `Caller` it stands for, `jwt.verified` is
the one strict verifier of every JSON Web Token, and `jwks.router` publishes the public keys. `people.People` knows who
may sign in, `sessions.Sessions` who has, and `pages` are what they see.
RFC 7519, RFC 9068, https://hl7.org/fhir/smart-app-launch/STU2.2/
"""
