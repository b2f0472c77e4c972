# Has the device sign a greeting. The signature also covers its purpose and this app's name, so no other app can have made it.

import nexus

try:
    key = nexus.make_key()
except nexus.Exists:
    key = nexus.public_key()

print("public key:", key.hex())
print("signature: ", nexus.sign("sample", b"greetings from this device").hex())
