/** What `process` warns of: nothing was lost, but somebody should look. docs/errors.md lists the same. */
export type WarningCode = 'SCANNERY_LOG_CUT' | 'SCANNERY_CHECKPOINT_FAILED' | 'SCANNERY_REBALANCE_FAILED';

export function warn(code: WarningCode, message: string): void {
  process.emitWarning(message, { type: 'ScanneryWarning', code });
}
