import { Type } from 'typebox';
import { STATES } from './status.ts';

// For the OpenAPI document. The routes check requests themselves: TensorFlow Serving's rules depend on the model that is asked.

const NAME = Type.String({ description: 'Name of the model.' });
const VERSION = Type.String({ pattern: '^\\d+$', description: 'Version of the model.' });

export const ModelParams = Type.Object({ name: NAME });
export const VersionParams = Type.Object({ name: NAME, version: VERSION });
export const LabelParams = Type.Object({ name: NAME, label: Type.String() });

export const ModelError = Type.Object({ error: Type.String() });

export const PredictBody = Type.Object(
  {
    signature_name: Type.Optional(Type.String({ description: "Default 'serving_default', the only one." })),
    instances: Type.Optional(
      Type.Array(Type.Unknown(), {
        minItems: 1,
        description: 'Row format: a value per query, or an object of values by the name of the input.',
      }),
    ),
    inputs: Type.Optional(
      Type.Unknown({
        description: 'Column format: a list of values, or an object of such lists by the name of the input.',
      }),
    ),
  },
  { description: "Either 'instances' or 'inputs'. A string may be given as {\"b64\": Base64 of its UTF-8}." },
);

const Score = Type.Number();
const Identifier = Type.Union([Type.String(), Type.Integer()]);

export const PredictAnswer = Type.Union([
  Type.Object({
    predictions: Type.Array(Type.Object({ output_1: Type.Array(Score), output_2: Type.Array(Identifier) })),
  }),
  Type.Object({
    outputs: Type.Object({
      output_1: Type.Array(Type.Array(Score)),
      output_2: Type.Array(Type.Array(Identifier)),
    }),
  }),
]);

export const StatusAnswer = Type.Object({
  model_version_status: Type.Array(
    Type.Object({
      version: Type.String(),
      state: Type.Enum([...STATES]),
      status: Type.Object({ error_code: Type.String(), error_message: Type.String() }),
    }),
  ),
});

const Tensors = Type.Record(
  Type.String(),
  Type.Object({
    dtype: Type.String(),
    tensor_shape: Type.Object({
      dim: Type.Array(Type.Object({ size: Type.String(), name: Type.String() })),
      unknown_rank: Type.Boolean(),
    }),
    name: Type.String(),
  }),
);

export const MetadataAnswer = Type.Object({
  model_spec: Type.Object({ name: Type.String(), signature_name: Type.String(), version: Type.String() }),
  metadata: Type.Object({
    signature_def: Type.Object({
      signature_def: Type.Record(
        Type.String(),
        Type.Object({ inputs: Tensors, outputs: Tensors, method_name: Type.String() }),
      ),
    }),
  }),
});
