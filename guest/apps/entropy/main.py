# Shows fresh entropy. What policy or app.toml does not allow ends in nexus.Denied, whatever the app tries.

import nexus

print("sixteen bytes:", nexus.entropy(16).hex())
