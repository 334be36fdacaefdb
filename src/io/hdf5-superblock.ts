// The start of an HDF5 file: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html, section II.A.

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]; // \x89HDF\r\n\x1a\n
/** As much as is looked at. */
export const SUPERBLOCK_BYTES = 52;

export function signatureAt(bytes: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/**
 * Where the file ends, in bytes from its superblock; undefined if the superblock is cut, and 0 where it is not understood,
 * which is left to the library.
 */
export function eofAddress(bytes: Buffer): number | undefined {
  const version = bytes[8];
  if (version === undefined) return undefined;
  if (version > 3) return 0;
  // The size of addresses, then: base, free space (0 and 1) or extension (2 and 3), end of the file.
  const [sizeAt, addressesAt] = version < 2 ? [13, version === 0 ? 24 : 28] : [9, 12];
  const addressBytes = bytes[sizeAt];
  if (addressBytes === undefined) return undefined;
  if (addressBytes !== 4 && addressBytes !== 8) return 0;
  const at = addressesAt + 2 * addressBytes;
  if (at + addressBytes > bytes.length) return undefined;
  const address = (from: number): number =>
    addressBytes === 4 ? bytes.readUInt32LE(from) : Number(bytes.readBigUInt64LE(from));
  return address(at) - address(addressesAt); // the base is where the superblock was when the file was written
}
