import type { WarningCode } from '../protocol/errors.ts';

export function warn(code: WarningCode, message: string): void {
  process.emitWarning(message, { type: 'ScanneryWarning', code });
}
