export { KeyringFile, type KeptKeys } from './keyring-file.ts';
export { StateFolder, type StateFolderOptions } from './state-folder.ts';
