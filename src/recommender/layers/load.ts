import { damaged } from '../../protocol/file-format.ts';
import { type LoadOptions, openLayer } from './artefact.ts';
import { BruteForce } from './brute-force.ts';
import { ScaNN } from './scann.ts';

/**
 * Opens a layer that `save` of a `BruteForce` or `ScaNN` layer wrote: index, identifiers, query tower and its vocabularies, in
 * any process. It answers as the layer did before saving.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_BAD_MAGIC, SCANNERY_NEWER_VERSION, SCANNERY_TRUNCATED,
 *   SCANNERY_CHECKSUM, SCANNERY_IO, SCANNERY_ABORTED; SCANNERY_INVALID_OPTION, also when the layer was saved with a query model
 *   that is no `Tower` and `queryModel` is not given
 */
export async function load(directory: string, options: LoadOptions = {}): Promise<BruteForce | ScaNN> {
  const { layer, options: saved, index, identifiers } = await openLayer(directory, options);
  try {
    switch (layer) {
      case 'BruteForce':
        return await new BruteForce(saved).restore(index, identifiers);
      case 'ScaNN':
        return await new ScaNN(saved).restore(index, identifiers);
      default:
        throw damaged(directory, `the layer's name, ${layer},`);
    }
  } catch (error) {
    await index.close();
    throw error;
  }
}
